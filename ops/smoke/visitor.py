"""Somebody with a browser, as far as forms and cookies go."""

import http.client
import secrets
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from html.parser import HTMLParser
from http.cookiejar import CookieJar

from ops import OpsError


@dataclass(frozen=True)
class Answer:
    """What came back, after redirects were followed."""

    url: str
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Visitor:
    """Asks one site, keeps its cookies, fills in its forms. Proxies of the environment do not count."""

    def __init__(self, site: str) -> None:
        self.site = site
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)

    def get(self, path: str, timeout: float = 15) -> Answer:
        """Get the page at a path, or at a whole address. Raises OpsError where nobody answers."""
        return self._ask(urllib.request.Request(urllib.parse.urljoin(self.site, path)), timeout)  # noqa: S310

    def post(self, path: str, fields: dict[str, str]) -> Answer:
        """Post these fields, as no form of the site does."""
        body = urllib.parse.urlencode(fields).encode()
        return self._ask(urllib.request.Request(urllib.parse.urljoin(self.site, path), body), 15)  # noqa: S310

    def submit(self, path: str, fields: dict[str, str], file: tuple[str, str, bytes] | None = None) -> Answer:
        """Fill in the form of that page which has these fields, and send it; `file`: field, name, content."""
        page = self.get(path)
        form = _form(page, {*fields, *([file[0]] if file else [])})
        values = {**form.hidden, **fields}
        target = urllib.parse.urljoin(page.url, form.action)
        if file is None:
            body, kind = urllib.parse.urlencode(values).encode(), "application/x-www-form-urlencoded"
        else:
            body, kind = _multipart(values, file)
        headers = {"Content-Type": kind, "Referer": page.url, "Origin": self.site}
        return self._ask(urllib.request.Request(target, body, headers), 60)  # noqa: S310

    def _ask(self, request: urllib.request.Request, timeout: float) -> Answer:
        try:
            with self._opener.open(request, timeout=timeout) as answer:
                return Answer(answer.url, answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(request.full_url, error.code, error.headers, error.read())
        except (OSError, http.client.HTTPException) as error:
            raise OpsError(f"{request.full_url}: {error}") from None


class Forms(HTMLParser):
    """The forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Forms.Form] = []

    @dataclass
    class Form:
        action: str
        names: set[str]
        hidden: dict[str, str]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.found.append(Forms.Form(said.get("action", ""), set(), {}))
        elif tag in ("input", "select", "textarea") and self.found and "name" in said:
            self.found[-1].names.add(said["name"])
            if said.get("type") == "hidden":
                self.found[-1].hidden[said["name"]] = said.get("value", "")


def _form(page: Answer, names: set[str]) -> Forms.Form:
    forms = Forms()
    forms.feed(page.text)
    for form in forms.found:
        if "csrfmiddlewaretoken" in form.hidden and names <= form.names:
            return form
    raise OpsError(f"{page.url} ({page.status}) has no form with {', '.join(sorted(names))}.")


def _multipart(values: dict[str, str], file: tuple[str, str, bytes]) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)
    field, name, content = file
    parts = [f'Content-Disposition: form-data; name="{each}"\r\n\r\n{value}'.encode() for each, value in values.items()]
    parts.append(f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode() + content)
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"

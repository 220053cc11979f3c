"""Nobody gets an error of ours (500) by what they send: every address, by every role, with what no browser sends.

Which requests are sent follows from a fixed seed. A fault is told with all that is needed to send its request again.
"""

import json
import random
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import close_old_connections, transaction
from django.http import HttpResponse
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import NoReverseMatch, reverse

from tests.web.addresses import address, routes
from vestnik.mailings.ledger.models import Run
from web.wsgi import application, can_be_asked

pytestmark = pytest.mark.usefixtures("valkey")

SEED = 14
ROLES = ("visitor", "owner", "editor", "manager", "content", "superuser")
ADMINS = ("visitor", "content", "superuser")
METHODS = ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "post", "X" * 40)
TIMES = {"GET": 3, "POST": 5}
"""How many requests of a kind each role sends to an address."""

ODD = (
    *("", " ", "\x00", "a\x00b", "\ud800", "a\udfffb", "\x85", "\ufeff", "\u202e", "\U0010ffff", "\r\nX: y", "я" * 300),
    *("-1", "0", "1", "9" * 40, "9" * 5000, "1e400", "NaN", "Infinity", "true", "None", "²", "١٢٣", "１２", "0x10"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "2147483648", "1,2", "1_0"),
    *("[]", "{}", "null", '{"a": {"b": 1}}', '{"a": "\\u0000"}', '{"\\ud800": "a"}', "[" * 3000, '"a"', "{"),
    *("2026-02-30", "0001-01-01T00:00", "9999-12-31T23:59", "9999-12-31", "0000-01-01", "99999-01-01", "25:61"),
    *("2026-01-01T00:00+99:99", "2026-01-01T00:00:00.000000001", "10/25/2006", "1.1.0001", "9999-W53", "23:59:60"),
    *("Mars/Olympus", "Europe", "posixrules", "/etc/passwd", "../../etc/passwd", "..", "EUROPE/MOSCOW", "localtime"),
    *("not-a-uuid", "00000000-0000-0000-0000-000000000000", "{12345678-1234-5678-1234-567812345678}", "x" * 5000),
    *("a@b", "@", f"a@{'b' * 300}.org", "a@xn--a.org", "a@[1.2.3.4]", "a@b.c\n", "a@☃.org", "a@" + "я" * 64 + ".рф"),
    *("{{ x }}", "{{", "}}{{", "{% if %}", "{{ attributes. }}", "%", "%00", "<script>", "&#x0;", "(" * 900, "\\"),
)  # fmt: skip
CHARSETS = (
    *("utf-16", "utf-32", "utf-7", "idna", "punycode", "utf8", "UTF-8", "cp1251", "koi8-r", "undefined", "nonsense"),
    *("unicode_escape", "raw_unicode_escape", "latin-1", "cp037", "", '"utf-8', "x" * 300, "utf-8-sig"),
)
ASKED = (
    *("page", "q", "sort", "whose", "status", "list", "copy", "message", "mailing", "since", "until", "owner", "held"),
    *("state", "action", "cause", "address", "after", "next", "pictures", "o", "p", "e", "all", "_popup", "_to_field"),
    *("_changelist_filters", "app_label", "model_name", "field_name", "term", "id__exact", "owner__id__exact", "show"),
    *("publish_at__year", "publish_at__month", "publish_at__day", "mailing__id__exact", "lists__id__exact", "used"),
    *("created_at__gte", "is_active__exact", "groups__id__exact", "confirmed_at__isempty", "language__exact", "days"),
)
SENT = (
    *("name", "subject", "text", "html", "seen", "form_key", "message", "lists", "single", "start", "end", "time_zone"),
    *("periodicity", "sender_name", "email", "full_name", "comment", "attributes", "client", "list", "back", "sure"),
    *("addresses", "address", "level", "share", "reason", "request_id", "state", "delivery", "cause", "password"),
    *("file", "client_list", "list_name", "language", "login", "password1", "next", "action", "_selected_action"),
    *("select_across", "index", "post", "_save", "_continue", "_saveasnew", "memberships-TOTAL_FORMS", "_popup"),
    *("memberships-INITIAL_FORMS", "memberships-0-id", "memberships-0-client_list", "memberships-0-DELETE", "action"),
    *("picture", "picture-kept", "picture-clear", "publish_at_0", "publish_at_1", "content", "slug", "title", "query"),
)
HEADERS: tuple[dict[str, str], ...] = (
    {}, {}, {}, {"HTTP_HX_REQUEST": "true"}, {"HTTP_ACCEPT_LANGUAGE": "\x00;q=x," * 50}, {"HTTP_RANGE": "bytes=-1-"},
    {"HTTP_X_FORWARDED_FOR": "not, an, address"}, {"HTTP_IF_MODIFIED_SINCE": "Sat, 99 Foo 9999 99:99:99 GMT"},
    {"HTTP_REFERER": "http://[::1"}, {"HTTP_HX_REQUEST": "true", "HTTP_HX_CURRENT_URL": "http://[x"},
    {"HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}, {"HTTP_HOST": "[bad"}, {"HTTP_CONTENT_ENCODING": "gzip"},
    {"HTTP_X_REQUEST_ID": "\udcff" * 3}, {"REMOTE_ADDR": ""}, {"HTTP_X_FRONT_REFRESH": "1"},
)  # fmt: skip
BOUNDARIES = ("B", "B" * 70, "B" * 300, "", "б", '"B"', "B;C")
KINDS = ("application/json", "multipart/mixed", "multipart/form-data", "", ";;;=", "a/b")
FILES = ("", "", '; filename="a.csv"', '; filename=""', "; filename*=utf-9''%ff", '; filename="../\x00"')
PART_HEADERS = (*[""] * 4, "Content-Type: text/plain; charset=utf-16\r\n", "Content-Transfer-Encoding: base64\r\n")
Fields = list[tuple[str, str]]


class Chance:
    """What is sent, by a generator that always says the same."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def pick(self, among: Sequence[Any]) -> Any:
        return self.random.choice(among)

    def query(self) -> str:
        return encoded([(self.pick(ASKED), self.pick(ODD)) for _ in range(self.random.randint(1, 3))])

    def fields(self, form: Fields) -> Fields:
        """A form as it would be sent, with some of it missing, changed or there twice; or something made up."""
        sent = list(form) if self.random.random() < 0.8 else []
        names = [name for name, _value in form] or list(SENT)
        for _ in range(self.random.randint(1, 3)):
            name = self.pick(names if self.random.random() < 0.8 else SENT)
            how = self.random.random()
            if how < 0.7:
                sent = [each for each in sent if each[0] != name]
            if how < 0.9:
                sent.append((name, self.pick(ODD)))
        return sent

    def body(self, form: Fields) -> tuple[bytes, str]:
        """A body and its content type."""
        how, fields, charset = self.random.random(), self.fields(form), self.pick(CHARSETS)
        if how < 0.55:
            return encoded(fields).encode(), "application/x-www-form-urlencoded"
        if how < 0.7:
            return encoded(fields).encode(), f"application/x-www-form-urlencoded; charset={charset}"
        whole = b"".join(self.part(name, value) for name, value in fields) + b"--B--\r\n"
        if how < 0.85:
            return whole, "multipart/form-data; boundary=B"
        if how < 0.95:
            cut = whole[: self.random.randrange(len(whole) + 1)]
            return cut, f"multipart/form-data; boundary={self.pick(BOUNDARIES)}; charset={charset}"
        return self.pick([b"{", b"\xff\xfe\x00", b"[]", b"a" * 70_000]), self.pick(
            [*KINDS, f"text/plain; charset={charset}"]
        )

    def part(self, name: str, value: str) -> bytes:
        """A part of a multipart body: a field, or a file, or neither rightly."""
        named = f'Content-Disposition: form-data; name="{name}"{self.pick(FILES)}'
        head = f"--B\r\n{named}\r\n{self.pick(PART_HEADERS)}\r\n{value}\r\n"
        return head.encode("utf-8", "surrogatepass")


def encoded(fields: Fields) -> str:
    return urlencode(fields, quote_via=quote, errors="surrogatepass", safe="")


def filled(answer: Any) -> Fields:
    """The fields of the page's forms as a browser would send them."""
    context = getattr(answer, "context", None)
    if context is None:
        return []
    inlines = [each.formset for each in context.get("inline_admin_formsets") or []]
    fields: Fields = []
    for form in [context.get("form"), getattr(context.get("adminform"), "form", None), *inlines]:
        if hasattr(form, "management_form"):
            for each in (form.management_form, *form.forms, form.empty_form):
                fields += written(each)
        elif hasattr(form, "fields"):
            fields += written(form)
    return fields


def written(form: Any) -> Fields:
    fields: Fields = []
    for bound in form:
        widget, value = bound.field.widget, bound.value()
        parts = [{"name": bound.html_name, "value": value}]
        if isinstance(widget, forms.MultiWidget):
            parts = widget.get_context(bound.html_name, value, {})["widget"]["subwidgets"]
        for part in parts:
            several = part["value"] if isinstance(part["value"], list | tuple) else [part["value"]]
            fields += [(part["name"], "" if each is None else str(each)) for each in several]
    return fields


def admin_pages() -> Iterator[str]:
    """Every address of the admin site, with what is there."""
    doors = ("index", "jsi18n", "autocomplete", "login", "logout", "password_change")
    yield from (reverse(f"admin:{name}") for name in doors)
    yield from (reverse("admin:app_list", args=["mailings"]), reverse("admin:blog_post_preview_new"))
    for model in admin.site._registry:
        names = f"admin:{model._meta.app_label}_{model._meta.model_name}_"
        one = model._default_manager.order_by("pk").values_list("pk", flat=True).first()
        for page in ("changelist", "add", "upload"):
            try:
                yield reverse(names + page)
            except NoReverseMatch:
                continue
        for page in ("change", "delete", "history", "preview"):
            for pk in (one, "9" * 30):
                try:
                    yield reverse(names + page, args=[pk])
                except NoReverseMatch:
                    continue


def odd_paths() -> Iterator[str]:
    """Addresses with what no thing has."""
    for route in dict.fromkeys(routes()):
        if "<int:pk>" in route:
            for pk in ("0", "9223372036854775808", "9" * 50):
                path = route.replace("<int:pk>", pk).replace("<int:delivery_pk>", pk)
                if "<" not in path:
                    yield f"/{path}"
    yield from (
        "/%00",
        "/en/%ff/",
        "/en/blog/%00/",
        f"/{'x' * 3000}",
        "/media/blog/x/9999999999999999999999.jpg",
        "//x//",
    )
    yield from (
        f"/static/{quote(each, safe='', errors='surrogatepass')}" for each in ("\x00", "..", "../../a", "a\udfff")
    )
    yield from ("/en/blog/feed/?page=\x00", "/healthz", "/readyz", "/front/views/x", "/en/accounts/confirm-email/:/")


@dataclass(frozen=True)
class Sent:
    """A request."""

    method: str
    path: str
    body: bytes = b""
    kind: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def spoilt(chance: Chance, path: str, form: Fields) -> Iterator[Sent]:
    """The requests that are sent to an address whose page has this form."""
    mark = "&" if "?" in path else "?"
    for _ in range(TIMES["GET"]):
        yield Sent(chance.pick(["GET", "GET", "HEAD"]), f"{path}{mark}{chance.query()}", headers=chance.pick(HEADERS))
    for number in range(TIMES["POST"]):
        asked = f"{path}{mark}{chance.query()}" if number == 0 else path
        yield Sent("POST", asked, *chance.body(form), chance.pick(HEADERS))
    yield Sent(chance.pick(METHODS), path, *chance.body(form), chance.pick(HEADERS))


class Door(Browser):
    """Passes requests on as gunicorn's application does."""

    def request(self, **environ: Any) -> Any:
        whole = self._base_environ(**environ)  # type: ignore[attr-defined]
        return super().request(**environ) if can_be_asked(whole) else HttpResponse(status=400)


class Visit:
    """Somebody who sends requests; what each did is undone. What got an error of ours is kept in `faults`."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.browser = Door(raise_request_exception=False)
        self.count = 0
        self.faults: dict[str, str] = {}
        self._raised: BaseException | None = None

    def note(self, **_about: Any) -> None:
        """Django's signal: something was raised, and is about to be answered with 500."""
        self._raised = sys.exc_info()[1]

    def send(self, sent: Sent) -> Any:
        self._raised, self.count = None, self.count + 1
        self.browser.cookies = SimpleCookie({settings.SESSION_COOKIE_NAME: self.session} if self.session else {})
        with transaction.atomic():
            answer: Any = self.browser.generic(sent.method, sent.path, sent.body, sent.kind, **sent.headers)
            if answer.streaming:
                b"".join(answer.streaming_content)
            transaction.set_rollback(True)
        if self._raised is not None or answer.status_code >= 500:
            self.faults.setdefault(f"{where(self._raised)}: {self._raised!r:.200}", f"{sent!r:.1500}")
        return answer


@pytest.mark.parametrize("charset", ["rot13", "base64", "hex", "zip", "bz2", "uu", "idna", "punycode"])
def test_an_encoding_of_what_is_no_text_is_no_error_of_ours(charset: str, db: None) -> None:
    assert answered(f"application/x-www-form-urlencoded; charset={charset}").startswith("400")


@pytest.mark.parametrize("kind", ["a/b; charset*=nope''x", "multipart/form-data; boundary*=nope''x"])
def test_a_content_type_that_cannot_be_read_is_none_either(kind: str, db: None) -> None:
    assert answered(kind).startswith("400")


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "nonsense", '"utf-8"'])
def test_what_is_utf_8_is_read_however_it_is_spelt(charset: str, db: None) -> None:
    assert answered(f"application/x-www-form-urlencoded; charset={charset}").startswith("200")


def answered(content_type: str) -> str:
    """The status that gunicorn is told, for a form with this Content-Type."""
    said: list[str] = []
    environ = {
        **RequestFactory().generic("POST", "/en/accounts/login/?page=%C2%B2", b"login=a").environ,
        "CONTENT_TYPE": content_type,
        "HTTP_COOKIE": "csrftoken=" + "a" * 32,
        "HTTP_X_CSRFTOKEN": "a" * 32,
    }
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # the test's is in a transaction
    try:
        b"".join(application(environ, lambda status, _headers, _info=None: said.append(status)))
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)
    return said[0]


def where(error: BaseException | None) -> str:
    """Our last line in the traceback, and the last of all."""
    frames = traceback.extract_tb(error.__traceback__ if error else None)
    ours = [frame for frame in frames if "/services/" in frame.filename or "/shared/" in frame.filename]
    return " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in [*ours[-1:], *frames[-1:]])


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.django_db
def test_no_request_gets_an_error_of_ours(
    role: str,
    sessions: dict[str, str],
    ids: dict[str, int],
    run: Run,
    settings: Any,
) -> None:
    settings.ACCOUNT_RATE_LIMITS = False
    visit = Visit(sessions[role])
    got_request_exception.connect(visit.note)
    for path in [*(address(route, ids, run) for route in dict.fromkeys(routes())), *admin_pages()]:
        if path.startswith("/admin/") and role not in ADMINS:
            continue  # they are sent away before anything is read
        chance = Chance(f"{SEED} {role} {path}")
        for sent in spoilt(chance, path, filled(visit.send(Sent("GET", path)))):
            visit.send(sent)
    for path in odd_paths():
        for method in ("GET", "POST"):
            visit.send(Sent(method, path))
    got_request_exception.disconnect(visit.note)
    assert visit.count > 1_000
    assert not visit.faults, f"{len(visit.faults)}: {json.dumps(visit.faults, indent=1, ensure_ascii=False)}"

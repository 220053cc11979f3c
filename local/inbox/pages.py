"""The web side: the list, a letter, and the same as JSON."""

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from local.inbox.letters import take_apart
from local.inbox.receiving import Inbox
from local.inbox.returning import Order
from local.inbox.store import Letter

HERE = Path(__file__).parent
PAGE = 50
API_LIMIT = 1_000
SHOWN_CHARACTERS = 1_000_000
VIEWS = ("html", "text", "headers", "source")
HOSTS = {"localhost", "127.0.0.1", "[::1]"}
NEWS_PAUSE_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0

INBOX: web.AppKey[Inbox] = web.AppKey("inbox", Inbox)
STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping", asyncio.Event)

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
LETTER_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
PREFIX = re.compile(r"/[a-z]+")
"""Under what path a proxy shows the inbox, as it says in X-Forwarded-Prefix; else it is shown at the root."""

WEB_ADDRESS = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]}]")


def application(inbox: Inbox) -> web.Application:
    """Make the web application over an inbox."""
    app = web.Application(middlewares=[guarded])
    app[INBOX] = inbox
    app[STOPPING] = asyncio.Event()
    app.on_shutdown.append(_stop_news)
    app.router.add_get("/", list_letters)
    app.router.add_post("/clear", clear)
    app.router.add_get("/news", news)
    app.router.add_get(r"/letters/{id:\d{1,18}}", show_letter)
    app.router.add_get(r"/letters/{id:\d{1,18}}/html", show_html)
    app.router.add_get(r"/letters/{id:\d{1,18}}.eml", download)
    app.router.add_post(r"/letters/{id:\d{1,18}}/return", send_back)
    app.router.add_get("/api/letters", api_list)
    app.router.add_get(r"/api/letters/{id:\d{1,18}}", api_letter)
    app.router.add_static("/static", HERE / "static")
    return app


@web.middleware
async def guarded(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer this machine's names only (against DNS rebinding), and set the headers that every answer carries."""
    host = re.sub(r":\d+$", "", request.host)
    if host not in HOSTS:
        return web.Response(status=403, text="The inbox answers on localhost and 127.0.0.1 only.\n")
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = error
    if not response.prepared:
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        response.headers.setdefault("Cache-Control", "no-cache")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"  # with "no-referrer" forms would come from "null"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


async def list_letters(request: web.Request) -> web.Response:
    """Show the page with the list; to the script that keeps it fresh, the list alone."""
    store = request.app[INBOX].store
    search = request.query.get("q", "").strip()[:200]
    count = await asyncio.to_thread(store.count, search=search)
    pages = max(1, -(-count // PAGE))
    page = min(_number(request, "page", 1, 1), pages)
    letters = await asyncio.to_thread(store.newest, search=search, limit=PAGE, offset=PAGE * (page - 1))
    template = "_letters.html" if "fragment" in request.query else "list.html"
    return _page(request, template, letters=letters, count=count, search=search, page=page, pages=pages)


async def show_letter(request: web.Request) -> web.Response:
    """Show one letter, in one of its views."""
    letter, source = await _letter(request)
    content = await asyncio.to_thread(take_apart, source)
    view = request.query.get("view", "")
    if view not in VIEWS or (view in ("html", "text") and getattr(content, view) is None):
        view = next(view for view in VIEWS if view not in ("html", "text") or getattr(content, view) is not None)
    shown_source = source[:SHOWN_CHARACTERS].decode("utf-8", "replace")
    returned = request.query.get("returned", "")
    return _page(
        request,
        "letter.html",
        letter=letter,
        content=content,
        view=view,
        source=shown_source,
        cut=SHOWN_CHARACTERS,
        can_return=request.app[INBOX].returns is not None and bool(letter.sender),
        returned=returned if returned in {order.value for order in Order} else "",
    )


async def show_html(request: web.Request) -> web.Response:
    """Show a letter's HTML, under a policy that lets it load and run nothing."""
    _, source = await _letter(request)
    content = await asyncio.to_thread(take_apart, source)
    if content.html is None:
        raise web.HTTPNotFound
    headers = {"Content-Security-Policy": LETTER_POLICY}
    return web.Response(text=content.html, content_type="text/html", charset="utf-8", headers=headers)


async def download(request: web.Request) -> web.Response:
    """Send a letter's source as a file."""
    letter, source = await _letter(request)
    disposition = f'attachment; filename="letter-{letter.id}.eml"'
    return web.Response(body=source, content_type="message/rfc822", headers={"Content-Disposition": disposition})


async def send_back(request: web.Request) -> web.Response:
    """Have the letter bounce, or its reader complain, as the form's `order` says."""
    _own_page(request)
    letter, source = await _letter(request)
    returns, chosen = request.app[INBOX].returns, str((await request.post()).get("order", ""))
    if returns is None or chosen not in {order.value for order in Order}:
        raise web.HTTPBadRequest(text="Nothing can come back of this letter.\n")
    recipient = letter.recipient.partition(", ")[0]
    try:
        refused = await returns.send(Order(chosen), letter.sender, recipient, source)
    except OSError as error:
        refused = str(error)
    if refused:
        raise web.HTTPBadGateway(text=f"It was not taken: {refused}\n")
    raise web.HTTPSeeOther(f"{_root(request)}/letters/{letter.id}?returned={chosen}")


async def clear(request: web.Request) -> web.Response:
    """Let go of all letters."""
    _own_page(request)
    await request.app[INBOX].clear()
    raise web.HTTPSeeOther(f"{_root(request)}/")


async def news(request: web.Request) -> web.StreamResponse:
    """Send a stream of server-sent events: one whenever the letters have changed."""
    inbox, stopping = request.app[INBOX], request.app[STOPPING]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    seen = -1
    with contextlib.suppress(ConnectionResetError):  # the reader left
        while not stopping.is_set():
            event = ": still here\n\n" if seen == inbox.version else f"data: {inbox.version}\n\n"
            seen = inbox.version
            await response.write(event.encode())
            await asyncio.sleep(NEWS_PAUSE_SECONDS)
            if seen == inbox.version:
                await inbox.change(HEARTBEAT_SECONDS)
    return response


async def api_list(request: web.Request) -> web.Response:
    """Send letters, newest first, as a JSON list; X-Total-Count says how many there are."""
    store = request.app[INBOX].store
    chosen = {"search": request.query.get("search", ""), "to": request.query.get("to", "")}
    limit, offset = _number(request, "limit", API_LIMIT, 0), _number(request, "offset", 0, 0)
    letters = await asyncio.to_thread(store.newest, **chosen, limit=limit, offset=offset)
    count = await asyncio.to_thread(store.count, **chosen)
    return _json([asdict(letter) for letter in letters], headers={"X-Total-Count": str(count)})


async def api_letter(request: web.Request) -> web.Response:
    """Send one letter with all it holds, as JSON."""
    letter, source = await _letter(request)
    content = await asyncio.to_thread(take_apart, source)
    return _json({**asdict(letter), **asdict(content), "source": source.decode("utf-8", "replace")})


def _own_page(request: web.Request) -> None:
    """Let the inbox's own page ask for it, or no browser at all. Raises HTTPForbidden."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin not in (None, f"http://{request.host}") or site not in (None, "same-origin"):
        raise web.HTTPForbidden(text="Only the inbox's own page may ask for that.\n")


async def _stop_news(app: web.Application) -> None:
    app[STOPPING].set()
    app[INBOX].wake()


async def _letter(request: web.Request) -> tuple[Letter, bytes]:
    found = await asyncio.to_thread(request.app[INBOX].store.get, int(request.match_info["id"]))
    if found is None:
        raise web.HTTPNotFound(text="There is no such letter (any more).\n")
    return found


def _number(request: web.Request, name: str, default: int, least: int) -> int:
    text = request.query.get(name, "")
    return max(least, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else default


def _json(data: Any, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(data, headers=headers, dumps=lambda value: json.dumps(value, ensure_ascii=False))


def _page(request: web.Request, template: str, **values: object) -> web.Response:
    text = _templates.get_template(template).render(root=_root(request), **values)
    return web.Response(text=text, content_type="text/html")


def _root(request: web.Request) -> str:
    prefix = request.headers.get("X-Forwarded-Prefix", "")
    return prefix if PREFIX.fullmatch(prefix) else ""


def _linked(text: str) -> Markup:
    """Return the text with its web addresses as links that tell the far end nothing."""
    parts, end = [], 0
    for found in WEB_ADDRESS.finditer(text):
        link = Markup('<a href="{0}" target="_blank" rel="noreferrer noopener">{0}</a>').format(found[0])
        parts += [escape(text[end : found.start()]), link]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _size(octets: int) -> str:
    if octets < 1024:
        return f"{octets} B"
    return f"{octets / 1024:.1f} kB" if octets < 1024 * 1024 else f"{octets / 1024 / 1024:.1f} MB"


_templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)
_templates.filters |= {"linked": _linked, "size": _size}

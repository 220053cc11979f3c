"""What a letter's frame asks of other servers: nothing, until its reader wants its pictures; and never for a client."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser

from tests.timing import wait_until
from vestnik import sharing
from vestnik.accounts.models import User
from vestnik.clients import verbs as clients
from vestnik.mailings import verbs

pytestmark = pytest.mark.usefixtures("valkey")


@pytest.fixture(scope="module", autouse=True)
def beside_the_browser() -> Iterator[None]:
    """Playwright keeps an event loop in this thread, which Django would not want."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    yield
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Elsewhere:
    """Somebody else's server: it writes down who connects, and what they ask for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _peer = self.socket.accept()
            except OSError:
                return
            with connection:
                self.asked.append("")
                connection.settimeout(5)
                try:
                    self.asked[-1] = connection.recv(4096).decode().partition("\r\n")[0]
                except OSError:
                    continue


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    yield server
    server.socket.close()


@pytest.mark.parametrize("reader", ["alice", "bob"])
def test_a_letters_frame_asks_nobody_until_its_reader_wants_the_pictures(
    chromium: Browser, live_server: object, alice: User, bob: User, elsewhere: Elsewhere, reader: str
) -> None:
    for person in (alice, bob):
        clients.create_client(person, f"secret@{person.email.replace('@', '.')}", full_name="Secret")
    html = (
        f'<link rel="preconnect" href="http://{elsewhere.host}"><link rel="stylesheet" href="http://{elsewhere.host}/s">'
        f'<p id="read">Dear {{{{ email }}}}</p><img src="http://{elsewhere.host}/p?{{{{ email }}}}">'
        f'<div style="background: url(http://{elsewhere.host}/b?{{{{ email }}}})">x</div>'
        f'<meta http-equiv="refresh" content="0;url=http://{elsewhere.host}/r">'
    )
    message = verbs.create_message(alice, subject="Pictures", html=html)
    sharing.share(message, alice, bob.email, "edit")
    session = Client()
    session.force_login(alice if reader == "alice" else bob)
    with chromium.new_context() as context:
        cookie = session.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": str(live_server)}])
        page = context.new_page()
        page.goto(f"{live_server}{reverse('messages:detail', args=[message.pk])}")
        frame = page.frame_locator("iframe.letter")
        seen = "secret@alice" if reader == "alice" else "anna@example.org"
        frame.locator("#read", has_text=seen).wait_for()
        page.wait_for_load_state("networkidle")
        assert elsewhere.asked == []

        page.get_by_text("Load them").click()
        frame.locator("#read", has_text="anna@example.org").wait_for()
        wait_until(lambda: sum(" /p?anna" in line or " /b?anna" in line for line in elsewhere.asked) == 2, 10)
        assert "secret" not in " ".join(elsewhere.asked)
        assert not any(path in line for line in elsewhere.asked for path in (" /s", " /r"))

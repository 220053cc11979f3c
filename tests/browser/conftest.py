"""A real browser in front of everything that `make run` starts."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests import needs
from tests.local.helpers import ask_json, free_port, open_folder
from tests.timing import wait_until

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(shutil.which, NAMES), "chromium")
OWN = ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CACHE_URL", "MAIL_SERVICE_URL", "DJANGO_SETTINGS_MODULE")


@dataclass(frozen=True)
class Vestnik:
    """What `make run` started."""

    web: str
    inbox_port: int

    def letters(self, address: str) -> list[dict[str, Any]]:
        """What the inbox got for an address, the newest first."""
        return list(ask_json(self.inbox_port, f"/api/letters?to={address}"))

    def text_of(self, letter: dict[str, Any]) -> str:
        """The plain text of a letter in the inbox."""
        return str(ask_json(self.inbox_port, f"/api/letters/{letter['id']}")["text"])


@pytest.fixture(scope="module")  # it keeps an event loop running: other tests want their own
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or whatever of its kind is there."""
    path = needs.program(CHROMIUM, "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--in-process-gpu"],
            env={**os.environ, "TZ": "UTC"},
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def vestnik(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vestnik]:
    """A Vestnik with all its processes, empty at first: each test is somebody else."""
    ports = {name: str(free_port()) for name in ("WEB_PORT", "INBOX_SMTP_PORT", "INBOX_PORT", "BOUNCES_PORT")}
    environment = {name: value for name, value in os.environ.items() if name not in OWN} | ports
    log = tmp_path_factory.mktemp("run") / "log"
    with open_folder() as folder, log.open("wb") as file:
        environment |= {"LOCAL_DATA": str(folder), "PYTHON_DOTENV_DISABLED": "1", "BULK_PROCESSES": "1", "DEMO": "0"}
        process = subprocess.Popen([sys.executable, "-m", "local.run"], env=environment, stdout=file, stderr=file)
        try:
            wait_until(lambda: "Ctrl-C stops it" in log.read_text() or process.poll() is not None, 90)
            assert process.poll() is None, log.read_text()
            yield Vestnik(f"http://127.0.0.1:{ports['WEB_PORT']}", int(ports["INBOX_PORT"]))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@pytest.fixture
def faults() -> list[str]:
    """What the browser complained of: scripts and styles that the policy refused, errors, answers of 500."""
    return []


def is_fault(message: ConsoleMessage) -> bool:
    """htmx logs as an error that it gave up a request for a newer one (hx-sync), which it was told to."""
    return message.type == "error" and not message.text.startswith(("htmx:sendAbort", "htmx:afterRequest"))


@pytest.fixture
def page(chromium: Browser, vestnik: Vestnik, faults: list[str]) -> Iterator[Page]:
    """A page of a person in Riga, whose browser speaks English."""
    context: BrowserContext = chromium.new_context(base_url=vestnik.web, locale="en-GB", timezone_id="Europe/Riga")
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.on("console", lambda message: faults.append(message.text) if is_fault(message) else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("response", lambda answer: faults.append(answer.url) if answer.status >= 500 else None)
    yield page
    context.close()

"""The web says whether it lives and whether it can serve: to whom it does not matter, and within a second."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client as Browser

from tests.local import helpers
from tests.nginx.site import Gunicorn
from tests.redis_in_trouble import memory_full, read_only
from tests.system.processes import of_tests
from tests.timing import wait_until
from vestnik import __version__
from web.health import checks
from web.home import status

WELL = {"database": "ok", "migrations": "ok", "queue": "ok", "cache": "ok"}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def browser() -> Browser:
    return Browser(headers={"Host": "10.0.0.7:8000"})  # by no name that is allowed


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Of somebody who takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def not_yet_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_migrated", False)


@pytest.mark.django_db(transaction=True)
def test_it_is_alive_by_any_name_without_database_and_queue(browser, settings, monkeypatch, silent_port):
    assert browser.get("/en/").status_code == 400  # Bad Request: no page answers to this name
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    settings.REDIS_URL = settings.CACHE_URL = f"redis://127.0.0.1:{silent_port}/0"

    answer = browser.get("/healthz")

    assert (answer.status_code, answer.content, answer["Cache-Control"]) == (
        200,
        f"ok {__version__}".encode(),
        "no-store",
    )
    assert not answer.cookies


@pytest.mark.django_db(transaction=True)
def test_it_is_ready_when_every_part_answers(browser, valkey, not_yet_migrated):
    answer = browser.get("/readyz")

    assert (answer.status_code, answer.json(), answer["Cache-Control"]) == (200, WELL, "no-store")
    assert browser.head("/readyz").status_code == 200
    assert browser.post("/readyz").status_code == 405


@pytest.mark.django_db(transaction=True)
def test_it_is_not_ready_while_a_migration_waits(browser, valkey, not_yet_migrated):
    recorder = MigrationRecorder(connection)
    newest = next(name for app, name in checks._newest_migrations() if app == "front")
    recorder.record_unapplied("front", newest)
    try:
        answer = browser.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, WELL | {"migrations": "not applied: front"})
    finally:
        recorder.record_applied("front", newest)
    assert browser.get("/readyz").json() == WELL


@pytest.mark.parametrize(("name", "part"), [("REDIS_URL", "queue"), ("CACHE_URL", "cache")])
@pytest.mark.django_db(transaction=True)
def test_it_names_the_server_that_is_away(name, part, browser, valkey, settings):
    setattr(settings, name, "redis://:hunter2@127.0.0.1:9/0")

    answer = browser.get("/readyz")

    assert (answer.status_code, answer.json()) == (503, WELL | {part: "does not answer"})


@pytest.mark.parametrize(
    ("trouble", "words"),
    [(memory_full, "command not allowed"), (read_only, "You can't write against")],
)
@pytest.mark.django_db(transaction=True)
def test_it_is_not_ready_where_the_servers_answer_and_take_nothing(trouble, words, browser, valkey):
    with trouble():
        answer = browser.get("/readyz")
        assert answer.status_code == 503
        assert all(answer.json()[part].startswith(f"takes no writes: {words}") for part in ("queue", "cache"))
        assert [(part.well, part.text) for part in status.parts() if part.name == "Queue"] == [(False, "takes no jobs")]
    assert browser.get("/readyz").json() == WELL


@pytest.mark.django_db(transaction=True)
def test_what_hangs_is_waited_for_a_second_and_asked_once(browser, settings, monkeypatch, caplog):
    with hanging() as (database_port, connections), hanging() as (port, _):
        monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        monkeypatch.setitem(connection.settings_dict, "PORT", str(database_port))
        settings.REDIS_URL = settings.CACHE_URL = f"redis://127.0.0.1:{port}/0"
        for _ in range(2):
            began = time.monotonic()
            answer = browser.get("/readyz")
            assert time.monotonic() - began < 1.5
            assert answer.status_code == 503
            assert answer.json() == dict.fromkeys(WELL, "does not answer")
        assert connections() == 1
    assert not caplog.records  # or each question would be an error at Sentry
    monkeypatch.undo()
    wait_until(lambda: browser.get("/readyz").json()["database"] == "ok")


@pytest.mark.django_db(transaction=True)
def test_a_database_that_hung_and_went_without_a_word_is_not_waited_for_when_it_is_back(browser, valkey, monkeypatch):
    options = connection.settings_dict["OPTIONS"]
    assert 2 <= int(options["connect_timeout"]) <= 30
    monkeypatch.setitem(options, "connect_timeout", 2)
    with hanging() as (port, _), monkeypatch.context() as meanwhile:
        meanwhile.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        meanwhile.setitem(connection.settings_dict, "PORT", str(port))
        assert browser.get("/readyz").json()["database"] == "does not answer"
        meanwhile.undo()
        wait_until(lambda: browser.get("/readyz").json() == WELL)  # while the connection is still open


@contextmanager
def hanging() -> Iterator[tuple[int, Callable[[], int]]]:
    """Somebody who takes connections and says nothing, and how many came; at the end they are hung up on."""
    taken: list[socket.socket] = []

    def take() -> None:
        while True:
            try:
                taken.append(server.accept()[0])
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], lambda: len(taken)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in taken:
                each.close()


def ask(url: str) -> tuple[int, str]:
    """What `python -m web.health` says to this address."""
    done = subprocess.run(
        [sys.executable, "-m", "web.health", url],
        cwd=ROOT,
        env=os.environ | {"http_proxy": "http://127.0.0.1:9", "DJANGO_SETTINGS_MODULE": "nowhere"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert not done.stderr
    return done.returncode, done.stdout.strip()


@pytest.mark.django_db(transaction=True)
def test_the_command_for_containers_asks_the_real_web(valkey, tmp_path):
    environment = of_tests(9, ALLOWED_HOSTS="vestnik.test")
    port = helpers.free_port()
    with Gunicorn(environment, port, tmp_path / "web.log"):
        assert ask(f"http://127.0.0.1:{port}/readyz") == (0, "ready")

    code, said = ask(f"http://127.0.0.1:{port}/readyz")
    assert code == 1
    assert said.startswith("The web does not answer: ")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, b'{"database": "does not answer", "queue": "ok"}', "database: does not answer"),
        (502, b"<h1>Bad gateway</h1>", "web: answers 502"),
        (500, b"", "web: answers 500"),
    ],
)
def test_the_command_says_in_a_line_what_is_wrong(status: int, body: bytes, said: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert ask(f"http://127.0.0.1:{server.server_address[1]}/") == (1, said)

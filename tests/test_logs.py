"""The log: lines for people, or a line of JSON each, which names what it is about."""

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client as Browser
from django.urls import path
from django.utils.module_loading import import_string

from tests.local import helpers
from tests.nginx.site import Gunicorn
from tests.system.processes import of_tests
from vestnik import logs


class Lines(logging.StreamHandler):  # type: ignore[type-arg]
    """What was logged, as JSON."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.setFormatter(logs.JsonFormatter())

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


logger = logging.getLogger("vestnik.tests")


def test_a_line_of_json_says_when_who_and_what(lines):
    logger.warning("three\nlines: %s\n«ё»", 1)

    (line,) = lines.all
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "WARNING", "logger": "vestnik.tests", "message": "three\nlines: 1\n«ё»"}


@pytest.mark.parametrize("character", ["\r", "\x1b", "\x7f", "\x9b", "\x85", "\u2028", "\u202e"])
@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_others_words_neither_order_a_terminal_about_nor_make_lines_of_their_own(character, log_format):
    written = written_by(log_format, f"Mallory{character}[2J\nERROR vestnik: all is lost")

    assert character not in written
    assert len(written.splitlines()) == 1
    assert "Mallory" in written


@pytest.mark.parametrize("log_format", logs.FORMATS)
@pytest.mark.parametrize("page", ["/en/accounts/confirm-email/", "/ru/accounts/password/reset/key/"])
def test_nobody_signs_in_by_what_the_log_says(page, log_format):
    assert f"Not Found: {page}…/" in written_by(log_format, f"Not Found: {page}3-one-time-key/")


def written_by(log_format: str, message: str) -> str:
    """What the installation's handler writes of it."""
    wanted = logs.configuration(log_format, "INFO")
    options = dict(wanted["formatters"][log_format])
    formatter = import_string(options.pop("()"))(**options)
    return formatter.format(logging.LogRecord("vestnik.tests", logging.INFO, "", 0, "%s", (message,), None))


FAULTS = """
import logging.config, sys, threading, warnings
from vestnik import logs
logs.configure(logs.configuration("json", "INFO"))
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("the end")
"""


def test_what_nobody_caught_and_what_python_warns_of_is_json_too():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 1
    warning, of_thread, end = [json.loads(line) for line in done.stderr.splitlines()]
    assert "UserWarning: old" in warning["message"]
    assert "ZeroDivisionError" in of_thread["exception"]
    assert end["exception"].endswith("ValueError: the end")


def test_an_exception_is_one_field(lines):
    try:
        raise ValueError("what went\nwrong")
    except ValueError:
        logger.exception("it failed")

    (line,) = lines.all
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith("ValueError: what went\nwrong")


def test_a_line_names_what_it_is_about_and_nothing_else_that_came_with_it(lines):
    with logs.context(owner_id=1):
        with logs.context(run_id=2, owner_id=3):
            logger.warning("within", extra={"delivery_id": 4, "address": "alice@example.org"})
        logger.warning("between")
    logger.warning("without")

    within, between, without = ({name: line.get(name) for name in (*logs.IDS, "address")} for line in lines.all)
    nothing = dict.fromkeys((*logs.IDS, "address"))
    assert within == nothing | {"owner_id": 3, "run_id": 2, "delivery_id": 4}
    assert between == nothing | {"owner_id": 1}
    assert without == nothing


def test_what_one_thread_is_about_another_is_not(lines):
    with logs.context(run_id=1):
        thread = threading.Thread(target=logger.warning, args=["elsewhere"])
        thread.start()
        thread.join()

    assert "run_id" not in lines.all[0]


def fail(request: HttpRequest) -> HttpResponse:
    raise ValueError("a fault of ours")


urlpatterns = [path("fail/", fail)]


@pytest.mark.django_db
def test_a_request_is_logged_and_answered_under_the_id_that_nginx_gave_it(lines, settings):
    settings.ROOT_URLCONF = __name__
    browser = Browser(raise_request_exception=False, headers={"X-Request-ID": "0123-nginx.id"})

    answer = browser.get("/fail/")

    assert (answer.status_code, answer["X-Request-ID"]) == (500, "0123-nginx.id")
    (line,) = lines.all
    assert line["request_id"] == "0123-nginx.id"
    assert "a fault of ours" in line["exception"]


@pytest.mark.parametrize("given", ["", "short", "x" * 65, 'quo"ted id', "line\nbreak1"])
@pytest.mark.django_db
def test_where_nobody_gave_an_id_that_can_be_one_it_gets_its_own(given, lines, settings):
    settings.ROOT_URLCONF = __name__
    browser = Browser(raise_request_exception=False, headers={"X-Request-ID": given})

    ids = {browser.get("/fail/")["X-Request-ID"] for _ in range(2)}

    assert len(ids) == 2
    assert given not in ids
    assert {line["request_id"] for line in lines.all} == ids


@pytest.mark.django_db(transaction=True)
def test_everything_gunicorn_and_the_web_write_is_json_if_that_is_wanted(valkey, tmp_path):
    environment = of_tests(9, LOG_FORMAT="json", ALLOWED_HOSTS="vestnik.test")
    port = helpers.free_port()
    with Gunicorn(environment, port, tmp_path / "web.log"):
        answer, _text = helpers.ask(port, "/en/", headers={"Host": "another.test", "X-Request-ID": "0123456789"})
        assert (answer.status, answer.headers["X-Request-ID"]) == (400, "0123456789")

    written = written_to(tmp_path / "web.log")
    assert {"gunicorn.error", "django.security.DisallowedHost"} <= {line["logger"] for line in written}
    assert "0123456789" in {line.get("request_id") for line in written}


def written_to(log: Path) -> list[dict[str, Any]]:
    """Its lines, each of which is JSON."""
    return [json.loads(line) for line in log.read_text().splitlines()]

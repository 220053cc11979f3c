"""Sentry is told once of what goes wrong, and names and secrets not at all. Its place is taken by a small server."""

import gzip
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import starting
from tests.dead_jobs import work
from tests.system.processes import of_tests
from vestnik import error_tracking, jobs
from vestnik.jobs import Job

ROOT = Path(__file__).parents[1]
SECRETS = {
    "MAIL_SERVICE_URL": "https://to%2Bken-of-the-service@mail.example.org/v1",
    "SECRET_KEY": "the key of the sessions",
    "FRONT_SECRET": "known-to-nginx-alone",
}
WORDS = (
    "alice@example.org and bob%40example.org told https://to%2Bken-of-the-service@mail.example.org/v1"
    " or the key of the sessions or known-to-nginx-alone Authorization: Basic eHl6enk6cGx1Z2g= Bearer abc.def-ghi"
)
UNTOLD = (
    *(
        "known-to-nginx",
        "alice@",
        "bob%40",
        "ken-of-the-service",
        "key of the sessions",
        "eHl6enk6",
        "abc.def",
        "seen nowhere",
    ),
    *("hunter2", "one-time-key", "typed into the form", "10.1.2.3"),
)

WEB = """
import io, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "web.settings"
os.environ["ALLOWED_HOSTS"] = "localhost"
import django
django.setup()
import logging
import sentry_sdk
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

@csrf_exempt
def fail(request, key):
    password = "seen nowhere"
    logging.getLogger("vestnik").warning("just before: %s", sys.argv[1])
    raise ValueError(sys.argv[1])

settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": [path("en/accounts/confirm-email/<key>/", fail)]})
body = b"words=typed+into+the+form"
environ = {
    "REQUEST_METHOD": "POST", "PATH_INFO": "/en/accounts/confirm-email/one-time-key/",
    "QUERY_STRING": "q=alice@example.org",
    "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http",
    "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/x-www-form-urlencoded", "REMOTE_ADDR": "10.1.2.3",
    "HTTP_AUTHORIZATION": "Bearer hunter2", "HTTP_COOKIE": "sessionid=hunter2", "HTTP_REFERER": "/?password=hunter2",
    "wsgi.errors": sys.stderr, "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": True,
    "wsgi.version": (1, 0), "SERVER_PROTOCOL": "HTTP/1.1",
}
statuses = []
list(get_wsgi_application()(environ, lambda status, headers, info=None: statuses.append(status)))
assert statuses[0].startswith("500"), statuses
for _ in range(5):
    logging.getLogger("vestnik").error("the queue is away: %s", "alice@example.org")
logging.getLogger("vestnik").error("and back")
sentry_sdk.flush(5)
"""
"""The web's own application, with one page that fails."""


BREAKERS = """
import os, sys, django
os.environ["DJANGO_SETTINGS_MODULE"] = "dispatcher.settings"
django.setup()
import sentry_sdk
from dispatcher.pace.breaker import Breaker
from dispatcher.providers.errors import Misconfigured, Unavailable

error = {"away": Unavailable, "wrong": Misconfigured}[sys.argv[1]]
for breaker in (Breaker("smtp"), Breaker("smtp")):
    for _ in range(4):
        breaker.failed(error(sys.argv[2]))
sentry_sdk.flush(5)
"""
"""Two processes' breakers, which meet the same trouble many times."""

TICKS = """
import sys
from dispatcher import main
import dramatiq, pendulum, sentry_sdk
from dispatcher import actors

for scheduled in (True, False):
    actors.tick.send_with_options(**({"scheduled_at": str(pendulum.now())} if scheduled else {}))
worker = dramatiq.Worker(dramatiq.get_broker(), queues={"control"}, worker_timeout=50, worker_threads=1)
worker.start()
dramatiq.get_broker().join("control", interval=50, timeout=20_000)
worker.stop()
sentry_sdk.flush(5)
"""
"""A worker does a tick of the scheduler and one that something hinted at."""


class Ingest:
    """What Sentry would have received."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.check_ins: list[dict[str, Any]] = []
        self.others: list[str] = []
        self.raw: list[str] = []
        ingest = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                ingest.take(body)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.dsn = f"http://public@127.0.0.1:{self.server.server_port}/7"

    def take(self, envelope: bytes) -> None:
        self.raw.append(envelope.decode())
        lines = io.BytesIO(envelope)
        lines.readline()
        while heading := lines.readline().strip():
            item = json.loads(heading)
            content = lines.read(item["length"]) if "length" in item else lines.readline()
            lines.readline()
            if item["type"] == "event":
                self.events.append(json.loads(content))
            elif item["type"] == "check_in":
                self.check_ins.append(json.loads(content))
            else:
                self.others.append(item["type"])


@pytest.fixture
def sentry() -> Iterator[Ingest]:
    ingest = Ingest()
    thread = threading.Thread(target=ingest.server.serve_forever)
    thread.start()
    yield ingest
    ingest.server.shutdown()
    ingest.server.server_close()
    thread.join()


def untold(sentry: Ingest) -> None:
    everything = "\n".join(sentry.raw)
    assert not [words for words in UNTOLD if words in everything]


def values(event: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["type"], each["mechanism"]["type"]) for each in event["exception"]["values"]]


def test_a_page_that_fails_is_told_once_and_of_whom_it_was_not(sentry: Ingest) -> None:
    subprocess.run(
        [sys.executable, "-c", WEB, WORDS],
        cwd=ROOT, env={**os.environ, **SECRETS, "SENTRY_DSN": sentry.dsn, "SENTRY_ENVIRONMENT": "tests"}, check=True,
    )  # fmt: skip

    page, away, back = sentry.events
    assert values(page) == [("ValueError", "django")]
    assert page["exception"]["values"][0]["value"].startswith("[address] and [address] told https://[secret]@mail")
    assert page["request"] == {"method": "POST", "url": "http://localhost/en/accounts/confirm-email/[secret]/"}
    assert (page["tags"]["service"], page["environment"]) == ("web", "tests")
    assert page["release"].startswith("vestnik@")
    assert not any("vars" in frame for frame in page["exception"]["values"][0]["stacktrace"]["frames"])
    assert [away["logentry"]["formatted"], back["logentry"]["formatted"]] == [
        "the queue is away: [address]",
        "and back",
    ]
    assert set(sentry.others) <= {"client_report"}  # how much was kept back; no sessions, no traces
    untold(sentry)


def test_a_job_that_dies_is_told_once_however_often_it_was_tried(sentry: Ingest, valkey: None) -> None:
    Job("fail", jobs.CONTROL).enqueue(f"to+ken-of-the-service to%2Bken-of-the-service {WORDS}")
    worker = work(**SECRETS, SENTRY_DSN=sentry.dsn)

    assert worker.stderr.count("with unhandled exception") == 3
    (event,) = sentry.events
    assert values(event) == [("ValueError", "dramatiq")]
    assert event["contexts"]["dramatiq"]["data"]["actor_name"] == "fail"
    assert event["transaction"] == "fail"
    assert event["tags"]["service"] == "dispatcher"
    assert set(sentry.others) <= {"client_report"}  # how much was kept back; no sessions, no traces
    untold(sentry)


def test_of_jobs_that_end_well_or_are_stopped_nothing_is_told(sentry: Ingest, valkey: None) -> None:
    Job("succeed", jobs.CONTROL).enqueue()
    Job("stop", jobs.CONTROL).enqueue()
    worker = work(SENTRY_DSN=sentry.dsn)

    assert worker.returncode == 0
    assert sentry.raw == []


def test_a_job_that_kills_its_workers_is_told_once(sentry: Ingest, valkey: None, tmp_path: Path) -> None:
    Job("kill", jobs.CONTROL).enqueue(str(tmp_path / "begun"))
    codes = [work(SENTRY_DSN=sentry.dsn).returncode for _ in range(4)]

    assert codes == [-9, -9, -9, 0]
    (event,) = sentry.events
    assert "Its worker died three times while doing this." in event["logentry"]["formatted"]


def test_a_job_that_nobody_knows_is_told_once(sentry: Ingest, valkey: None) -> None:
    Job("dance", jobs.CONTROL).enqueue()
    work(SENTRY_DSN=sentry.dsn)

    (event,) = sentry.events
    assert values(event) == [("ActorNotFound", "logging")]


def run(script: str, *arguments: str, **variables: str) -> None:
    environment = {**os.environ, **SECRETS, **variables}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, env=environment, check=True, timeout=60)


@pytest.mark.parametrize(("trouble", "level"), [("away", "warning"), ("wrong", "error")])
def test_that_the_breaker_opened_is_told_once(sentry: Ingest, valkey: None, trouble: str, level: str) -> None:
    run(BREAKERS, trouble, WORDS, SENTRY_DSN=sentry.dsn)

    (event,) = sentry.events
    assert event["level"] == level
    assert "nothing is handed over" in (event.get("message") or event["logentry"]["formatted"]).lower()
    assert "[address] and [address] told https://[secret]@mail" in json.dumps(event)
    untold(sentry)


@pytest.mark.django_db(transaction=True)
def test_ticks_of_the_scheduler_check_in_and_out(sentry: Ingest, valkey: None) -> None:
    run(TICKS, SENTRY_DSN=sentry.dsn, DATABASE_URL=of_tests(9)["DATABASE_URL"], TICK_CRON="*/2 * * * *")

    begun, ended = sentry.check_ins
    assert [each["status"] for each in sentry.check_ins] == ["in_progress", "ok"]
    assert {each["monitor_slug"] for each in sentry.check_ins} == {"tick"}
    assert begun["check_in_id"] == ended["check_in_id"]
    assert begun["monitor_config"]["schedule"] == {"type": "crontab", "value": "*/2 * * * *"}
    assert ended["duration"] > 0
    assert sentry.events == []
    untold(sentry)


def test_a_tick_that_fails_checks_out_as_one_and_names_nobody(sentry: Ingest, valkey: None) -> None:
    run(TICKS, SENTRY_DSN=sentry.dsn, DATABASE_URL="postgresql://bob:hunter2@127.0.0.1:9/nowhere")

    assert [each["status"] for each in sentry.check_ins] == ["in_progress", "error"]
    assert {each["environment"] for each in sentry.check_ins} == {"production"}
    untold(sentry)


def test_without_a_dsn_ticks_tell_nobody(sentry: Ingest, valkey: None) -> None:
    run(TICKS, DATABASE_URL="postgresql://bob:hunter2@127.0.0.1:9/nowhere")
    run(BREAKERS, "away", WORDS)

    assert sentry.raw == []


def test_a_sentry_that_is_away_hinders_nobody(valkey: None) -> None:
    Job("fail", jobs.CONTROL).enqueue("no")
    worker = work(SENTRY_DSN="http://public@127.0.0.1:1/7")

    assert worker.returncode == 0
    assert worker.stderr.count("with unhandled exception") == 3


@pytest.mark.parametrize(
    "dsn", ["nonsense", "ftp://hunter2@localhost/1", "https://hunter2@localhost/x", "https://localhost/1"]
)
@pytest.mark.parametrize("service", ["web", "dispatcher"])
def test_a_wrong_dsn_stops_the_start_with_one_sentence(service: str, dsn: str) -> None:
    environment = {**os.environ, "SENTRY_DSN": dsn}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    answer = starting.python(f"services/{service}/manage.py", "check", environment=environment)

    assert answer.returncode == 2
    assert "SENTRY_DSN" in answer.stderr
    assert "hunter2" not in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_the_key_of_a_mail_service_is_one_of_our_secrets(settings):
    settings.MAIL_SERVICE_URL = "mailgun://k3y%2Fof-ours@api.mailgun.net/example.org"
    known = error_tracking._secrets.__wrapped__()
    assert {"k3y/of-ours", "k3y%2Fof-ours"} <= set(known)
    assert "/example.org" not in known


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("550 <alice.o'hara+x@mail.пример.рф> no such user", "550 <[address]> no such user"),
        ("redis://:hunter2@127.0.0.1:6379/0 is away", "redis://[secret]@127.0.0.1:6379/0 is away"),
        ("postgresql://u:p%40ss@h/name", "postgresql://[secret]@h/name"),
        ("{'Authorization': 'Bearer abcdef', 'Host': 'x'}", "{'Authorization': '[secret]', 'Host': 'x'}"),
        ("AUTH PLAIN AGFsaWNlAHNlY3JldA==", "AUTH PLAIN [secret]"),
        ("GET /send?api_key=abc&to=1 with auth_token=xyz", "GET /send?api_key=[secret]&to=1 with auth_token=[secret]"),
        ("/en/accounts/password/reset/key/3-abc-def/", "/en/accounts/password/reset/key/[secret]/"),
        ("Key (owner_id, email)=(7, Алиса) already exists.", "Key (owner_id, email)=(…) already exists."),
        ("the token of a lane, and a password", "the token of a lane, and a password"),
        ('{"password": "hunter2", "n": 1}', '{"password": "[secret]", "n": 1}'),
        ("Cookie: sessionid=abc; x=1", "Cookie: sessionid=[secret]; x=1"),
        ('to "alice archer"@example.org and bob@[192.0.2.1]', "to [address] and [address]"),
        ("Key (lower(name::text))=(Алиса) already exists.", "Key (lower(name::text))=(…) already exists."),
        ("Key (name)=(Alice (home) and all) already exists.", "Key (name)=(…) already exists."),
        ("Key (a)=(Alice) conflicts with existing key (a)=(Bob).", "Key (a)=(…)."),
        ("Failing row contains (7, Alice (see).\nDear me).\nNext", "Failing row contains (…).\nNext"),
        ('invalid input syntax for type integer: "Alice"', 'invalid input syntax for type integer: "…"'),
        (
            'CONTEXT:  COPY incoming_clients, line 3, column attributes: "{"name": "Alice"}"\nNext',
            "CONTEXT:  COPY incoming_clients, line 3, column attributes: …\nNext",
        ),
        ('COPY incoming_clients, line 3: "7\tx\tAlice\t"', "COPY incoming_clients, line 3: …"),
        (
            'Token "Alice" is invalid.\nCONTEXT:  JSON data, line 1: {Alice',
            "Token … is invalid.\nCONTEXT:  JSON data, line 1: …",
        ),
        ("line 7, in run_slice: 3 @ 4", "line 7, in run_slice: 3 @ 4"),
    ],
)
def test_what_is_scrubbed_and_what_stays(text: str, told: str) -> None:
    assert error_tracking.scrub(text) == told


def test_a_long_text_is_scrubbed_in_no_time() -> None:
    worker = threading.Thread(
        target=error_tracking.scrub, args=("a" * 200_000 + "Failing row contains (" * 1000,), daemon=True
    )
    worker.start()
    worker.join(2)

    assert not worker.is_alive()

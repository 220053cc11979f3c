"""Pages take no longer with a service that hangs than with one that works: at most 1.25 times, measured in pairs."""

import http.client
import math
import statistics
import subprocess
import sys
import time
from contextlib import closing
from itertools import count
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.urls import reverse

from local import probes
from local.run import GUNICORN_OPTIONS
from tests.local.helpers import free_port
from tests.scripted_servers import Hang
from tests.system.processes import ROOT, of_tests
from tests.timing import in_time, wait_until
from vestnik.accounts.models import User
from vestnik.mailings import outages
from vestnik.testing.factories import make_mailing

PAIRS = range(5, 21)
"""At least, and at most: as many as it takes until the noise is below NOISE."""
NOISE = 0.1
ROUNDS = 10
SIGN_UPS = 2
LIMIT = 1.25
LONGEST = 3.0
"""Seconds that no page takes, be the machine as busy as it may."""
RATE = 100
"""Letters a second of the run that is under way meanwhile."""

_people = count(1)


@pytest.fixture
def web(post, tmp_path):
    """The port of a web service, started as `make run` starts it."""
    port = free_port()
    environment = of_tests(
        post.port, DJANGO_SETTINGS_MODULE="web.settings", ALLOWED_HOSTS="127.0.0.1", TRUSTED_PROXIES="1"
    )
    command = [sys.executable, "-m", "gunicorn", "web.wsgi", *GUNICORN_OPTIONS, "--bind", f"127.0.0.1:{port}"]
    log = tmp_path / "web.log"
    with (
        log.open("wb") as said,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said) as process,
    ):
        wait_until(lambda: probes.answers_http(port))
        yield port
        process.terminate()


def seconds(port, path, cookies, form=None, status=200):
    """How long the page takes, until its last byte is there."""
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    if form:
        headers |= {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Forwarded-For": f"192.0.2.{next(_people) % 250}",  # ten a minute may sign up from one
        }
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        asked = time.perf_counter()
        connection.request("POST" if form else "GET", path, urlencode(form or {}), headers)
        response = connection.getresponse()
        response.read()
        took = time.perf_counter() - asked
    assert response.status == status, f"{path}: {response.status}"
    in_time(took, LONGEST, path)
    return took


def sign_up(port):
    token = "t" * 32
    form = {
        "csrfmiddlewaretoken": token,
        "email": f"visitor{next(_people)}@example.org",
        "password1": "trumpets at dawn",
        "full_name": "Eve Adams",
        "language": "en",
        "time_zone": "Europe/Moscow",
    }
    return seconds(port, "/en/accounts/signup/", {"csrftoken": token}, form, status=302)


def times(port, pages, cookies):
    """What each page takes, and signing up, asked for in turns: the lower quartile, for whatever else this machine has
    to do only adds to it.
    """
    took = {path: [] for path in pages}
    for _ in range(ROUNDS):
        for path in pages:
            took[path].append(seconds(port, path, cookies))
    took["sign-up"] = [sign_up(port) for _ in range(SIGN_UPS)]
    return {path: statistics.quantiles(each, n=4)[0] for path, each in took.items()}


def compared(healthy, hanging):
    """By page, the median ratio of the pairs; and the worst standard error of these medians."""
    ratios = {page: [bad[page] / good[page] for good, bad in zip(healthy, hanging, strict=True)] for page in healthy[0]}
    if len(healthy) < 2:
        return {}, 1.0
    errors = [1.25 * statistics.stdev(each) / math.sqrt(len(each)) for each in ratios.values()]
    return {page: statistics.median(each) for page, each in ratios.items()}, max(errors)


def hang(post):
    """From now on neither greetings nor letters are answered; once that is known."""
    post.always("greeting", Hang())
    post.always("mail", Hang())
    wait_until(lambda: outages.current() is not None, 15)


def behave(post):
    """It works again; once letters go out."""
    post.behave()
    post.drop_connections()
    wait_until(lambda: outages.current() is None, 15)
    post.wait_for(len(post.letters) + 20)


def test_pages_take_no_longer_beside_a_service_that_hangs(alice, post, run_dispatcher, web, client):
    post.letters_per_second = RATE
    run_dispatcher(MAIL_SERVICE_URL=f"smtp://127.0.0.1:{post.port}?connections=10&timeout=1", PROBE_BACKOFF="1")
    mailing = make_mailing(alice, 20_000)
    post.wait_for(100, 30)
    client.force_login(alice)
    cookies = {settings.SESSION_COOKIE_NAME: client.cookies[settings.SESSION_COOKIE_NAME].value}
    pages = [
        reverse("overview"),
        reverse("mailings:list"),
        reverse("runs:detail", args=[mailing.runs.get().pk]),
    ]
    times(web, pages, cookies)  # everything is loaded
    measured = {True: [], False: []}
    ratios, noise = {}, 1.0
    for pair in range(PAIRS.stop - 1):
        for healthy in (True, False) if pair % 2 else (False, True):
            if healthy != (outages.current() is None):
                (behave if healthy else hang)(post)
            before = len(post.letters)
            measured[healthy].append(times(web, pages, cookies))
            assert (len(post.letters) > before) is healthy, "the service was not as it should be"
        ratios, noise = compared(measured[True], measured[False])
        if noise < NOISE and len(measured[True]) >= PAIRS.start:
            break
    for page, ratio in ratios.items():
        good = statistics.median(each[page] for each in measured[True])
        print(f"{page}: {1000 * good:.1f} ms with a healthy service, {ratio:.2f} times that with a hanging one")
    print(f"{len(measured[True])} pairs, noise {noise:.2f}")
    assert max(ratios.values()) <= LIMIT, ratios
    signed_up = User.objects.filter(email__startswith="visitor").count()
    assert signed_up == (1 + 2 * len(measured[True])) * SIGN_UPS

"""The whole site behind nginx: the real web and dispatcher on the tests' database and queue."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from local import probes
from local.run import GUNICORN_OPTIONS
from tests.nginx.client import Answer, Front
from tests.system.processes import ROOT
from tests.timing import wait_until

if TYPE_CHECKING:
    from vestnik.accounts.models import User
    from vestnik.blog.models import Post

HOST = "vestnik.test"
LANGUAGES = ("en", "ru")
LISTS = [f"/{language}/{room}" for language in LANGUAGES for room in ("", "blog/", "blog/feed/")]
"""The pages that show the newest posts."""


class Gunicorn:
    """The web as `make run` starts it."""

    def __init__(self, environment: dict[str, str], port: int, log: Path) -> None:
        self.port = port
        self._environment = environment | {"DJANGO_SETTINGS_MODULE": "web.settings"}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        argv = ["-m", "gunicorn", "web.wsgi", *GUNICORN_OPTIONS, "--bind", f"127.0.0.1:{self.port}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *argv], cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(lambda: probes.answers_http(self.port, "/front/"), 30)

    @property
    def pid(self) -> int:
        """Of its master."""
        assert self._process
        return self._process.pid

    def kill(self) -> None:
        """kill -9 it and its workers."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(20)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def collect_static(environment: dict[str, str]) -> None:
    """Put what pages load where the environment's STATIC_ROOT says, as an image's build does."""
    argv = [sys.executable, "services/web/manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(argv, cwd=ROOT, env=environment, check=True)


def ask_directly(gunicorn: Gunicorn, path: str, headers: dict[str, str]) -> Answer:
    """The web's own answer."""
    connection = http.client.HTTPConnection("127.0.0.1", gunicorn.port, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": HOST, **headers})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def write(title: str, **fields: Any) -> Post:
    """A post, published unless it is said otherwise."""
    from vestnik import clock
    from vestnik.blog import verbs
    from vestnik.blog.models import Post

    defaults = {"content": f"<p>The text of {title}.</p>", "draft": False, "publish_at": clock.now()}
    return verbs.save_post(Post(title=title, slug=title.lower().replace(" ", "-"), **(defaults | fields)))


def insert_posts(number: int) -> None:
    """Published posts, post-1 the newest, behind the verbs' back: nothing is made again for them."""
    from datetime import timedelta

    from vestnik import clock
    from vestnik.blog.models import Post

    now = clock.now()
    Post.objects.bulk_create(
        Post(
            title=f"Post {n}", slug=f"post-{n}", content="<p>Text.</p>", draft=False, publish_at=now - timedelta(days=n)
        )
        for n in range(1, number + 1)
    )


def sign_in(user: User) -> dict[str, str]:
    """The headers of somebody who is signed in."""
    from django.test import Client

    browser = Client()
    browser.force_login(user, backend="web.accounts.backends.AddressBackend")
    return {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}


def wait_until_quiet() -> None:
    """Until no page waits to be made again."""
    from vestnik.front.models import StalePage

    wait_until(lambda: not StalePage.objects.exists())


def keep(site: Front, paths: list[str]) -> None:
    """Have nginx keep these pages, as far as they are there."""
    for path in paths:
        assert site.ask(path).status in (200, 404)
        assert site.ask(path).cache in ("HIT", "MISS")


def seconds_until(holds: Callable[[], Any]) -> float:
    """How long it took to come about, at most ten."""
    began = time.monotonic()
    wait_until(holds, 10)
    return time.monotonic() - began

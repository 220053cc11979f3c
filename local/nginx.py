"""The real nginx on the project's own configuration, rendered as the official image renders it.

Tests and benchmarks start it; `make run` has no front. Everything nginx writes is in a directory of its own, and its
logs are beside its configuration.
"""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from local import LocalError, probes
from local.attached import attached

SOURCE = Path(__file__).resolve().parent.parent / "nginx"
SECONDS = 10.0
VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")


class NginxMissing(LocalError):
    """nginx is not installed here."""


def program() -> str:
    """Return the path of nginx. Raises NginxMissing."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NginxMissing("nginx is not installed (on Debian: apt install nginx).")
    return found


def render(template: str, variables: Mapping[str, str]) -> str:
    """Fill in the template as the image's envsubst does: what is not among the variables is nginx's own, and stays."""
    return VARIABLE.sub(lambda found: variables.get(found[1] or found[2], found[0]), template)


class Nginx:
    """One nginx in front of the web at `web` (host:port), stopped with the process that started it."""

    def __init__(
        self,
        directory: Path,
        *,
        web: str,
        secret: str,
        static: Path,
        media: Path,
        port: int | None = None,
        workers: int | None = None,
        resolver: str = "127.0.0.1",
        inbox: str = "",
        proxies: int = 1,
        hsts: str = "",
    ) -> None:
        """`workers`: processes, as many as there are cores if None. `resolver` is asked where `web` names a host.
        `inbox`: host:port of a trial's. `proxies`: this one, and those that stand before it.
        `hsts`: what it tells browsers of HTTPS on pages of its own.
        """
        self.directory = directory.resolve()
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.directory / "access.log"
        self.error_log = self.directory / "error.log"
        self.variables = {
            "WEB_UPSTREAM": web,
            "FRONT_SECRET": secret,
            "NGINX_PORT": f"127.0.0.1:{self.port}",
            "RESOLVER": resolver,
            "STATIC_ROOT": str(static.resolve()),
            "MEDIA_ROOT": str(media.resolve()),
            "CACHE_PATH": str(self.directory / "cache"),
            "IMPORT_BODY_LIMIT": "110m",
            "INBOX_UPSTREAM": inbox,
            "TRUSTED_PROXIES": str(proxies),
            "HSTS": hsts,
        }
        self._workers = str(workers or "auto")
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Write the configuration; what nginx kept stays."""
        for folder in ("conf.d", "cache"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCE / "nginx.conf", self.directory)
        shutil.copytree(SOURCE / "errors", self.directory / "errors", dirs_exist_ok=True)
        for template in (SOURCE / "templates").glob("*.template"):
            (self.directory / "conf.d" / template.stem).write_text(render(template.read_text(), self.variables))

    def command(self) -> list[str]:
        """Return the argv of nginx in the foreground."""
        orders = f"daemon off; worker_processes {self._workers}; pid {self.directory}/nginx.pid;"
        if os.getuid() == 0:  # or its workers could not open what only root may
            orders += f" user {pwd.getpwuid(0).pw_name};"
        configuration = str(self.directory / "nginx.conf")
        return [program(), "-p", str(self.directory), "-e", "stderr", "-c", configuration, "-g", orders]

    def start(self) -> None:
        """Start nginx and wait until it listens. Raises LocalError with what nginx said if it does not."""
        self.prepare()
        with self.log.open("ab") as log, self.error_log.open("ab") as errors:
            self._process = subprocess.Popen(
                attached(self.command(), signal.SIGTERM),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=errors,
                start_new_session=True,
            )
        deadline = time.monotonic() + SECONDS
        while not probes.listens(self.port):
            died = self._process.poll() is not None
            if died or time.monotonic() > deadline:
                self.stop()
                said = "\n".join(self.error_log.read_text(errors="replace").splitlines()[-5:])
                raise LocalError(f"nginx {'did not start' if died else 'does not listen'}:\n{said}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop what `start` started."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])

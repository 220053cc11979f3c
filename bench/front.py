"""The home page as nginx keeps it, beside nginx serving the same bytes from a file, and beside Django alone."""

import gzip
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path

from bench.installation import servers
from local import probes
from local.nginx import Nginx, NginxMissing, program
from local.run import GUNICORN_OPTIONS
from tests.local.helpers import free_port
from tests.system.processes import ROOT, wait_until

PAGE = "/en/"
SECRET = "of-the-front-bench"
CONNECTIONS = 32
FILE, FILE_HOST = "page", "file.test"
OF_NGINX = {"server", "date", "connection", "content-length", "content-encoding", "content-type", "transfer-encoding",
            "last-modified", "vary", "etag"}  # fmt: skip
"""Headers that nginx gives a file by itself."""

# The same bytes, with the same headers, from the same processes.
BESIDE = """
server {{
    listen 127.0.0.1:{port};
    server_name {host};
    root {root};
    default_type "text/html; charset=utf-8";
    types {{ }}
    gzip_static on;
    {headers}
}}
"""


@dataclass(frozen=True)
class Load:
    """What wrk asks for."""

    url: str
    headers: tuple[str, ...] = ()

    def rate(self, seconds: int) -> float:
        """Measure the answers a second; the program ends if one of them is not a page."""
        headers = [word for header in self.headers for word in ("-H", header)]
        command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", *headers, self.url]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = re.search(r"Requests/sec:\s*([\d.]+)", said)
        if found is None or "Non-2xx" in said or "Socket errors" in said:
            sys.exit(f"{self.url} was not answered as it should be:\n{said}")
        return float(found[1])


def missing() -> str:
    """Say which of the programs this wants is not here, in a sentence; empty if all are."""
    try:
        program()
    except NginxMissing as fault:
        return str(fault)
    return "" if shutil.which("wrk") else "wrk is not installed (on Debian: apt install wrk)."


def run(seconds: int = 5, rounds: int = 3) -> None:
    """Print the rates of each round, and the medians of their ratios."""
    if fault := missing():
        print(f"front: not measured. {fault}")
        return
    with installation() as (front, django):
        _put_beside(front)
        gzipped, plain, file = "Accept-Encoding: gzip", "Accept-Encoding: identity", f"Host: {FILE_HOST}"
        loads = {
            "copy": Load(front.url + PAGE, (gzipped,)),
            "file": Load(f"{front.url}/{FILE}", (gzipped, file)),
            "copy, not gzipped": Load(front.url + PAGE, (plain,)),
            "file, not gzipped": Load(f"{front.url}/{FILE}", (plain, file)),
            "django": Load(django + PAGE),
        }
        rates: dict[str, list[float]] = {name: [] for name in loads}
        for _ in range(rounds):
            for name, load in loads.items():
                rates[name].append(load.rate(seconds))
            print("  ".join(f"{name} {each[-1]:,.0f}/s" for name, each in rates.items()), flush=True)
    print(
        f"front: {_ratio(rates, 'copy', 'file'):.2f} of a static file of the same bytes "
        f"(not gzipped {_ratio(rates, 'copy, not gzipped', 'file, not gzipped'):.2f}), "
        f"{_ratio(rates, 'copy', 'django'):,.0f} times Django alone (medians of {rounds}; sound from 0.80)"
    )


@contextmanager
def installation() -> Iterator[tuple[Nginx, str]]:
    """Yield nginx before gunicorn before a database with the demo's blog, and the address of gunicorn."""
    port = free_port()
    variables = {"FRONT_SECRET": SECRET, "ALLOWED_HOSTS": "127.0.0.1", "MAIL_SERVICE_URL": "smtp://127.0.0.1:9"}
    with servers(**variables) as directory:
        from vestnik.demo import posts
        from vestnik.front import homepage_stats

        posts.make()
        homepage_stats.count()
        static = directory / "static"
        static.mkdir()
        with (
            gunicorn(port, directory / "gunicorn.log"),
            Nginx(
                directory / "nginx",
                web=f"127.0.0.1:{port}",
                secret=SECRET,
                static=static,
                media=Path(os.environ["MEDIA_ROOT"]),
            ) as front,
        ):
            yield front, f"http://127.0.0.1:{port}"


@contextmanager
def gunicorn(port: int, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "gunicorn", "web.wsgi", *GUNICORN_OPTIONS, "--bind", f"127.0.0.1:{port}"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
    try:
        wait_until(lambda: probes.listens(port) or process.poll() is not None)
        yield
    finally:
        process.terminate()
        process.wait()


def _put_beside(front: Nginx) -> None:
    """Have nginx serve what it keeps of the page as a file, too: FILE of the host FILE_HOST."""
    _fetch(front, PAGE)
    content, headers = _fetch(front, PAGE)
    if headers["X-Cache"] != "HIT" or headers["Content-Encoding"] != "gzip":
        sys.exit(f"nginx keeps no copy of the page:\n{headers}")
    root = front.directory / "files"
    root.mkdir()
    (root / FILE).with_suffix(".gz").write_bytes(content)
    (root / FILE).write_bytes(gzip.decompress(content))
    own = {name: value for name, value in headers.items() if name.lower() not in OF_NGINX}
    lines = "\n    ".join(f"add_header {name} {_quoted(value)};" for name, value in own.items())
    server = BESIDE.format(port=front.port, host=FILE_HOST, root=root, headers=lines)
    front.stop()
    (front.directory / "conf.d" / "beside.conf").write_text(server)
    front.start()
    beside, others = _fetch(front, f"/{FILE}", Host=FILE_HOST)
    if beside != content or not own.items() <= dict(others).items():
        sys.exit(f"The file is not what the copy is:\n{headers}\n{others}")


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _fetch(front: Nginx, path: str, **headers: str) -> tuple[bytes, HTTPMessage]:
    connection = HTTPConnection("127.0.0.1", front.port, timeout=30)
    connection.request("GET", path, headers={"Accept-Encoding": "gzip", **headers})
    with connection.getresponse() as answer:
        return answer.read(), answer.headers


def _ratio(rates: dict[str, list[float]], one: str, other: str) -> float:
    return statistics.median(mine / theirs for mine, theirs in zip(rates[one], rates[other], strict=True))

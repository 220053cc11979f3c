"""Servers of others, as processes of their own: what all of them need."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def found(name: str, package: str) -> str:
    """Where the program is. A test that cannot have it is skipped, but in CI."""
    path = shutil.which(name, path=PATH)
    if path is None:
        missing(f"{name} is missing: install {package}")
    return path


def as_root() -> None:
    """Servers that change their user want to be started by root."""
    if os.geteuid():
        missing("only root can start this server")


def missing(why: str) -> "NoReturn":
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def free_port() -> int:
    """One of this machine's that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Say whether somebody takes connections there."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder that other users, too, can go through; it is gone in the end."""
    path = Path(tempfile.mkdtemp(prefix=f"vestnik-{name}-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def wait_for_greeting(port: int, log: Path, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Until something there speaks; what it logged is told where it does not."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                if connection.recv(4):
                    return
        except OSError:
            time.sleep(0.05)
    said = log.read_text(errors="replace")[-3000:] if log.exists() else "nothing"
    raise AssertionError(f"the server does not speak; it logged {said}")

"""What the wire takes: Postfix's own smtp-source and smtp-sink."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIZE = 4096
HOST = "127.0.0.1"


@contextmanager
def sink() -> Iterator[int]:
    """Run an smtp-sink on a free port of this machine; yield the port."""
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([tool("smtp-sink"), *user, f"{HOST}:{port}", "1000"])
    try:
        _wait_until_open(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def source(port: int, count: int, sessions: int) -> float:
    """Measure the letters a second of smtp-source with that many sessions, connections kept."""
    command = [tool("smtp-source"), "-d", "-s", str(sessions), "-m", str(count), "-l", str(SIZE), f"{HOST}:{port}"]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return count / (time.perf_counter() - began)


def tool(name: str) -> str:
    """Say where Postfix's tool is; the program ends with a sentence if it is nowhere."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/libexec/postfix")
    return path or sys.exit(f"{name} is missing: install Postfix (on Debian: apt-get install postfix).")


def _wait_until_open(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection((HOST, port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    sys.exit("smtp-sink did not start.")

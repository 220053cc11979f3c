"""What the tests of the local stack have in common."""

import http.client
import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach: pytest closes its own to others whenever it starts anywhere."""
    path = Path(tempfile.mkdtemp(prefix="vestnik-tests-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def ask(
    port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None, form: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, str]:
    """The answer of a page on this machine, to a form where there is one, and its text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    of_forms = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    connection.request(method, path, urlencode(form) if form else None, of_forms | (headers or {}))
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


def ask_json(port: int, path: str) -> Any:
    """The JSON a page answers with."""
    response, text = ask(port, path)
    assert response.status == 200, text
    return json.loads(text)

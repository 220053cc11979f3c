"""How the tests ask nginx: nothing is added to a request, and nothing undone in an answer."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from typing import Any

from local.nginx import Nginx

Headers = dict[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What nginx sent."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        body = gzip.decompress(self.body) if self.headers["Content-Encoding"] == "gzip" else self.body
        return body.decode()

    @property
    def cache(self) -> str | None:
        """What nginx says of its copy."""
        return self.headers["X-Cache"]


class Front(Nginx):
    """nginx, and ways of asking it."""

    def ask(
        self, path: str, headers: Headers = (), method: str = "GET", body: bytes | None = None, timeout: float = 20
    ) -> Answer:
        """The answer to a request with these headers, and Host if it is not among them."""
        given = list(headers.items() if isinstance(headers, dict) else headers)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in [*([] if "Host" in dict(given) else [("Host", "vestnik.test")]), *given]:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def refresh(self, path: str, secret: str | None = None) -> Answer:
        """As the dispatcher asks for a page that changed."""
        return self.ask(path, {"X-Front-Refresh": secret or self.variables["FRONT_SECRET"]})

    def ask_at_once(self, path: str, times: int, headers: Headers = ()) -> list[Answer]:
        """So many answers to the same request, all under way at the same time."""
        with ThreadPoolExecutor(times) as threads:
            return list(threads.map(lambda _number: self.ask(path, headers), range(times)))

    def say(self, request: bytes, until: bytes | None = None) -> bytes:
        """What comes back for these very bytes, until it ends so, or nginx closes."""
        said = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            while more := connection.recv(65536):
                said += more
                if until and said.endswith(until):
                    break
        return said

    def logged(self, requests: int) -> list[dict[str, Any]]:
        """The access log, once so many requests are in it; nginx writes it each second."""
        deadline = time.monotonic() + 5
        while len(lines := self.log.read_text().splitlines()) < requests:
            assert time.monotonic() < deadline, lines
            time.sleep(0.02)
        return [json.loads(line) for line in lines]

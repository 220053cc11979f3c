"""A web that does what the test says: it speaks with nginx as the real one does, and writes down what it was asked."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

VIEWS = "/front/views/"


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Message
    body: bytes


@dataclass
class Answer:
    """What the web says to it."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def kept(text: str, seconds: float = 60, status: int = 200, **headers: str) -> Answer:
    """An answer that nginx may keep for so many seconds."""
    until = {"X-Accel-Expires": f"@{int(time.time() + seconds)}", "Cache-Control": "public, max-age=0, must-revalidate"}
    return Answer(text, status, until | {name.replace("_", "-"): value for name, value in headers.items()})


class Web:
    """An HTTP server on a port of its own, which it keeps over `stop` and `start`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        """Everything but views."""
        self.viewed: list[Asked] = []
        self.answer: Callable[[Asked], Answer] = lambda asked: kept(f"page {len(self.asked)}")
        self.free = threading.Event()
        """Not set: no request is answered until it is."""
        self.free.set()
        self.port = 0
        self._lock = threading.Lock()
        self.start()

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    @property
    def views(self) -> list[str]:
        """The slugs of the posts that were seen."""
        return [asked.path.removeprefix(VIEWS) for asked in self.viewed]

    def says(self, text: str, **options: object) -> None:
        """From now on it answers this, to be kept."""
        self.answer = lambda asked: kept(text, **options)  # type: ignore[arg-type]

    def start(self) -> None:
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:  # nginx has hung up
                    self.close_connection = True

            def answer(self) -> None:
                asked = Asked(self.command, self.path, self.headers, self._body())
                is_view = self.path.startswith(VIEWS)
                with web._lock:
                    (web.viewed if is_view else web.asked).append(asked)
                web.free.wait(20)
                self._send(Answer(status=204) if is_view else web.answer(asked))

            do_GET = do_HEAD = do_POST = answer  # noqa: N815

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _send(self, answer: Answer) -> None:
                body = answer.text.encode()
                self.send_response(answer.status)
                for name, value in {"Content-Type": "text/html; charset=utf-8", **answer.headers}.items():
                    self.send_header(name, value)
                if "gzip" in self.headers.get("Accept-Encoding", "") and "X-Accel-Expires" in answer.headers:
                    body = gzip.compress(body, mtime=0)
                    self.send_header("Content-Encoding", "gzip")
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD" and answer.status != 204:
                    self.wfile.write(body)

            def log_message(self, *words: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 200

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free.set()
        self.stop()

"""A policy service for Postfix that greylists: whoever comes first is sent away, and let in when they come again."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Greylist(socketserver.ThreadingTCPServer):
    """Keeps when each recipient was asked for first."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answer: str, wait: float) -> None:
        super().__init__(("127.0.0.1", 0), _Question)
        self.answer, self.wait = answer, wait
        self.first: dict[str, float] = {}
        self.sent_away = 0

    def action(self, recipient: str) -> str:
        now = time.monotonic()
        if now - self.first.setdefault(recipient, now) >= self.wait:
            return "DUNNO"
        self.sent_away += 1
        return self.answer


class _Question(socketserver.StreamRequestHandler):
    server: Greylist

    def handle(self) -> None:
        recipient = ""
        for line in self.rfile:
            name, _, value = line.decode().strip().partition("=")
            if name == "recipient":
                recipient = value
            elif not name:
                self.wfile.write(f"action={self.server.action(recipient)}\n\n".encode())


@contextmanager
def greylisting(answer: str, wait: float = 1.0) -> Iterator[tuple[Greylist, str]]:
    """The service, and how a Postfix asks it."""
    with Greylist(answer, wait) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server, f"check_policy_service inet:127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(5)

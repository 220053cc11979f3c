"""The port where Prometheus asks. The first of a service's processes to open it answers for all of them."""

from __future__ import annotations

import fcntl
import logging
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from vestnik import metrics, settings
from vestnik.metrics.collector import InstallationCollector

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5
"""How long to wait before a port that could not be opened is tried again."""

GRACE = 4
"""Failed tries that are not logged: whoever had the port may not have closed it yet."""

PATIENCE_SECONDS = 5.0
"""How long a slow client is waited for: they are answered one after the other."""


def serve() -> None:
    """Answer Prometheus from now on, in a thread of its own; nothing without METRICS_PORT. Call it after any fork."""
    if settings.METRICS_PORT:
        threading.Thread(target=_serve, name="metrics", daemon=True).start()


def _serve() -> None:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(metrics.FOLDER))  # type: ignore[no-untyped-call]
    registry.register(InstallationCollector())

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            body = encode(registry)
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with (metrics.FOLDER / "teller").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until whichever of our processes tells has died
        with _opened(Handler) as server:
            logger.info("metrics at %s:%d", settings.METRICS_HOST, settings.METRICS_PORT)
            server.serve_forever()


def _opened(handler: type[BaseHTTPRequestHandler]) -> _Server:
    tries = 0
    while True:
        try:
            return _Server((settings.METRICS_HOST, settings.METRICS_PORT), handler)
        except OSError as error:
            tries += 1
            if tries == GRACE:
                place = f"{settings.METRICS_HOST}:{settings.METRICS_PORT}"
                logger.error("METRICS_PORT: nothing is told, for %s cannot be listened at: %s", place, error)
            time.sleep(AGAIN_SECONDS)


class _Server(socketserver.TCPServer):
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        if isinstance(sys.exc_info()[1], OSError):
            logger.debug("somebody who asked for metrics did not wait for them", exc_info=True)
        else:
            logger.exception("metrics could not be told")

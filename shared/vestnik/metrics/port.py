"""The port where Prometheus asks. Of a service's processes the first to come has it, and tells for all of them."""

from __future__ import annotations

import logging
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from vestnik import metrics, settings
from vestnik.metrics.figures import Figures

logger = logging.getLogger(__name__)

TAKE_OVER_SECONDS = 2.0
"""How often the others look whether the port is free: whoever had it may have died."""

PATIENCE_SECONDS = 5.0
"""With somebody who asks slowly: they are answered one after the other."""


def serve() -> None:
    """Answer Prometheus from now on, beside the process's work; nothing without METRICS_PORT. After any fork."""
    if settings.METRICS_PORT:
        threading.Thread(target=_serve, name="metrics", daemon=True).start()


def _serve() -> None:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(metrics.FOLDER))  # type: ignore[no-untyped-call]
    registry.register(Figures())

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

    said = False
    while True:
        try:
            server = _Server((settings.METRICS_HOST, settings.METRICS_PORT), Handler)
        except OSError as error:  # mostly another of our processes has it
            if not said:
                logger.debug("metrics are told by another process: %s", error)
            said = True
            time.sleep(TAKE_OVER_SECONDS)
            continue
        logger.info("metrics at %s:%d", settings.METRICS_HOST, settings.METRICS_PORT)
        with server:
            server.serve_forever()


class _Server(socketserver.TCPServer):
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        logger.debug("somebody who asked for metrics did not wait for them", exc_info=True)

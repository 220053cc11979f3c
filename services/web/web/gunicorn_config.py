"""What gunicorn is told beside its command line: `gunicorn --config python:web.gunicorn_config web.wsgi`."""

import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from vestnik import logs

try:
    from vestnik import metrics, settings  # noqa: F401  # before anything is counted
except ImproperlyConfigured as error:
    sys.exit(f"Vestnik is misconfigured. {error}")

# On a terminal gunicorn's own lines are good enough.
if settings.LOG_FORMAT == logs.JSON:
    _as_all = {"level": "INFO", "handlers": [], "propagate": True}
    logconfig_dict = settings.LOGGING | {"loggers": {"gunicorn.error": _as_all, "gunicorn.access": _as_all}}


def post_worker_init(worker: Any) -> None:
    """Prepare a worker process that is about to serve (a hook of Gunicorn's)."""
    from vestnik.metrics import port

    port.serve()

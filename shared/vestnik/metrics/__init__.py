"""What Prometheus reads, on a port of its own (docs/decisions/0027-metrics.md).

Each process counts what it does itself, in metrics declared by the classes from here. With a port, the processes that
share it share their counts in files, so that any of them can answer for all; without, nothing leaves the process.
"""

import os
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from vestnik import settings

FOLDER = Path(tempfile.gettempdir(), f"vestnik-metrics-{settings.METRICS_PORT}")
"""Shared by all processes with the same port on this machine or in this container."""


def _share() -> None:
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = FOLDER.lstat()
    if FOLDER.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise ImproperlyConfigured(f"METRICS_PORT: others can write to {FOLDER}, where counts are kept.")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(FOLDER)  # read when the library is imported


if settings.METRICS_PORT:
    _share()

from prometheus_client import Counter, Histogram, Summary  # noqa: E402

__all__ = ["FOLDER", "Counter", "Histogram", "Summary"]

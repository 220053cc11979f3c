"""How the log looks, for people and for machines, and what a line is about: the ids of what is being done.

Nothing of Django is loaded here: masters of worker processes log as well.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

PLAIN, JSON = "plain", "json"
FORMATS = (PLAIN, JSON)

IDS = ("request_id", "job", "owner_id", "mailing_id", "run_id", "delivery_id")
"""What a line may name, be it by `about` or by `extra`."""

_about: ContextVar[Mapping[str, Any]] = ContextVar("about", default=MappingProxyType({}))


@contextmanager
def about(**ids: Any) -> Iterator[None]:
    """What this thread logs meanwhile is about these, beside what it has been about before. Names are those of IDS."""
    token = _about.set({**_about.get(), **ids})
    try:
        yield
    finally:
        _about.reset(token)


class JsonFormatter(logging.Formatter):
    """A line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
            **{name: vars(record)[name] for name in IDS if name in vars(record)},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configuration(log_format: str, level: str) -> dict[str, Any]:
    """What logging.config.dictConfig takes."""
    formatters = {PLAIN: {"format": "%(levelname)s %(name)s: %(message)s"}, JSON: {"()": "vestnik.logs.JsonFormatter"}}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format}},
        "root": {"handlers": ["stderr"], "level": level},
    }

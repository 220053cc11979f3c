"""What the log looks like, for people and for machines, and what a line is about: the ids of what is being done.

Nothing of Django is loaded here: masters of worker processes log as well.
"""

from __future__ import annotations

import json
import logging
import logging.config
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any

PLAIN, JSON = "plain", "json"
FORMATS = (PLAIN, JSON)

IDS = ("request_id", "job", "owner_id", "mailing_id", "run_id", "delivery_id")
"""Ids that a line may name, by `context` or by `extra`."""

INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that a terminal may obey or take for a line's end, in others' texts; except tabs and line feeds."""

KEYS = re.compile(r"(/(?:key|confirm-email|u)/)[^/\s?\"'\\]+")
"""Secret parts of addresses in letters: whoever reads the log can sign in as nobody."""

_about: ContextVar[Mapping[str, Any]] = ContextVar("about", default=MappingProxyType({}))


@contextmanager
def context(**ids: Any) -> Iterator[None]:
    """Add these ids (of IDS) to all lines that this thread logs in the block, beside those it has already."""
    token = _about.set({**_about.get(), **ids})
    try:
        yield
    finally:
        _about.reset(token)


class PlainFormatter(logging.Formatter):
    """A line for people: a message never makes two lines, whatever text is in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = _visible(record.message).replace("\n", "\\n")
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the traceback without what a terminal would obey."""
        return _visible(super().formatException(ei))


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
        return _visible(json.dumps(line, ensure_ascii=False, default=str))


def _visible(text: str) -> str:
    return KEYS.sub(r"\1…", INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def configuration(log_format: str, level: str) -> dict[str, Any]:
    """Return what logging.config.dictConfig takes, for a format of FORMATS and a level's name."""
    formatters = {
        PLAIN: {"()": "vestnik.logs.PlainFormatter", "fmt": "%(levelname)s %(name)s: %(message)s"},
        JSON: {"()": "vestnik.logs.JsonFormatter"},
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format}},
        "root": {"handlers": ["stderr"], "level": level},
    }


def configure(wanted: dict[str, Any]) -> None:
    """Set logging up by the `configuration`. In JSON, uncaught exceptions and Python's warnings are JSON, too."""
    logging.config.dictConfig(wanted)
    if wanted["handlers"]["stderr"]["formatter"] == JSON:
        logging.captureWarnings(True)
        sys.excepthook = _say
        threading.excepthook = _say_of_thread


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger(__name__).critical("nobody caught this", exc_info=(kind, error, trace))


def _say_of_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not issubclass(failed.exc_type, SystemExit):
        _say(failed.exc_type, failed.exc_value, failed.exc_traceback)

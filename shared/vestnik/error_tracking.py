"""Sentry, if SENTRY_DSN names a project: faults are reported there, and no personal data.

Reports contain no addresses, passwords or tokens, no local variables and nothing that was sent to a page. A fault that
a library logs many times a minute is reported once in a while.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import sentry_sdk
from django.conf import settings
from sentry_sdk.crons import monitor
from sentry_sdk.integrations import Integration
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.types import Event, Hint, MonitorConfig

from vestnik import addresses, logs

QUIET_SECONDS = 300.0
"""How long a process does not report the same line of the log again."""

LEAST_SECRET = 4
"""Characters of the shortest password that is searched for in texts: shorter ones occur anywhere."""

# In this order, and before addresses: what holds a password with an @ in it may not be taken for one.
RULES = [
    (re.compile(r"(://)[^\s/@]{1,1000}@"), r"\1[secret]@"),
    (re.compile(r"(?i)(\bauthorization\b[\"']?\s*[:=,]\s*[\"']?)[^\n\"']+"), r"\1[secret]"),
    (re.compile(r"(?i)\b(bearer|auth (?:plain|login|cram-md5|xoauth2))\s+[\w.~+/=-]+"), r"\1 [secret]"),
    (re.compile(r"(?i)\b(\w*(?:password|passwd|secret|token|api_?key|sessionid))=[^\s&;,)]+"), r"\1=[secret]"),
    (re.compile(r"(?i)([\"']\w*(?:password|passwd|secret|token|api_?key)[\"']\s*:\s*[\"'])[^\"'\n]+"), r"\1[secret]"),
    (logs.KEYS, r"\1[secret]"),
    # The row a constraint refused, and the value or the line of a COPY that could not be read, in PostgreSQL's words.
    (re.compile(r"(Failing row contains \().*(\)\.)", re.DOTALL), r"\1…\2"),
    (re.compile(r"(\)=\()[^\n]*(\))"), r"\1…\2"),
    (re.compile(r"(invalid [\w ]{1,40} for [\w ]{1,40}: \")[^\n]*\""), r'\1…"'),
    (re.compile(r"(COPY \w+, line \d+(?:, column \w+)?: )\".*?\"(?=\n|$)", re.DOTALL), r"\1…"),
    (re.compile(r"(JSON data, line \d+: )[^\n]*"), r"\1…"),
    (re.compile(r"(\bToken )\"[^\n]*\"(?= is invalid)"), r"\1…"),
]


def watch(service: str) -> None:
    """Report faults of this process of the "web" or the "dispatcher" to Sentry from now on, if SENTRY_DSN is set.

    Called by the settings, and so before the broker is made, which the integration would not see otherwise.
    """
    from vestnik import settings as common

    if not common.SENTRY_DSN:
        return
    sentry_sdk.init(
        dsn=common.SENTRY_DSN,
        environment=common.SENTRY_ENVIRONMENT,
        release=common.SENTRY_RELEASE,
        integrations=[_integration(service)],
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="always" if service == "dispatcher" else "never",  # a job's is its name and arguments
        trace_propagation_targets=[],
        before_send=_report,
    )
    sentry_sdk.set_tag("service", service)
    ignore_logger("dramatiq.worker.WorkerThread")  # the integration tells of the same failure


def is_tried_again() -> None:
    """Keep the failure of the running job from Sentry: it is reported when the job is not tried any more."""
    if sentry_sdk.get_client().is_active():
        sentry_sdk.get_isolation_scope().add_event_processor(lambda _event, _hint: None)


def report(text: str, *group: str) -> None:
    """Report a warning to Sentry; those of the same group are one issue there, whatever their text."""
    if sentry_sdk.get_client().is_active():
        with sentry_sdk.new_scope() as scope:
            scope.fingerprint = list(group)
            sentry_sdk.capture_message(text, level="warning")


@contextmanager
def checked_in(slug: str, cron: str) -> Iterator[None]:
    """Tell Sentry's monitor of this name when the block's work begins, and how it ends.

    Sentry makes the monitor, and complains when nobody checks in by the cron (in UTC).
    """
    if not sentry_sdk.get_client().is_active():
        yield
        return
    schedule: MonitorConfig = {
        "schedule": {"type": "crontab", "value": cron},
        "timezone": "UTC",
        "checkin_margin": 2,
        "max_runtime": 60,
    }
    with monitor(slug, schedule):
        yield


def scrub(text: str) -> str:
    """Return the text without addresses, passwords and tokens, and without the rows PostgreSQL names in its errors."""
    for secret in _secrets():
        text = text.replace(secret, "[secret]")
    for pattern, instead in RULES:
        text = pattern.sub(instead, text)
    return addresses.erased(text)


def _integration(service: str) -> Integration:
    if service == "dispatcher":
        # Not Django's beside it: that wraps every statement, and the ledger's are many.
        from sentry_sdk.integrations.dramatiq import DramatiqIntegration

        return DramatiqIntegration()
    from sentry_sdk.integrations.django import DjangoIntegration

    return DjangoIntegration()


def _report(event: Event, _hint: Hint) -> Event | None:
    if _reported_lately(event):
        return None
    if request := event.get("request"):
        event["request"] = {"method": request.get("method"), "url": str(request.get("url")).partition("?")[0]}
    cleaned: Event = _scrubbed(event)
    cleaned["release"] = event.get("release", "")  # name@version: no address
    return cleaned


_told: dict[tuple[str, str], float] = {}


def _reported_lately(event: Event) -> bool:
    """Say whether this line of the log was reported moments ago: every consumer logs each second that a queue is away.

    Exceptions are always reported.
    """
    entry: Any = event.get("logentry")
    if event.get("exception") or not entry:
        return False
    now = time.monotonic()
    for said in [said for said, at in _told.copy().items() if now - at > QUIET_SECONDS]:
        _told.pop(said, None)
    line = (str(event.get("logger")), str(entry.get("formatted") or entry.get("message")))
    return _told.setdefault(line, now) != now


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {key: _scrubbed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_scrubbed(each) for each in value]
    return value


@cache
def _secrets() -> list[str]:
    """Return the installation's own passwords and tokens, as they stand and as URLs have them; the longest first."""
    urls = [settings.REDIS_URL, settings.CACHE_URL, getattr(settings, "MAIL_SERVICE_URL", "")]
    parts = [urlsplit(url) for url in urls]
    found = [part.password for part in parts]
    for part in parts:
        if not part.password:  # mailgun://key@host/domain
            found.append(part.username)
        if part.scheme in ("http", "https"):  # https://token@host/path, and the path may hold a key
            found.append(part.path)
    plain = [unquote(text) for text in found if text]
    plain += [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS, settings.FRONT_SECRET]
    plain.append(settings.DATABASES["default"].get("PASSWORD") or "")
    known = {form for text in plain if len(text) >= LEAST_SECRET for form in (text, quote(text, safe=""))}
    return sorted(known, key=len, reverse=True)

"""The dispatcher's settings: the common ones, and what the engine needs."""

import os
import re
import ssl
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from dispatcher.bounces.mailbox_url import Mailbox, WrongMailbox
from dispatcher.pace.limits import rules
from dispatcher.providers import url
from vestnik import error_tracking, mode
from vestnik.mail import extra_headers
from vestnik.settings import *  # noqa: F403
from vestnik.settings import DATABASES, DEAD_JOB_TTL, INSTALLED_APPS, MODE, REDIS_URL, domain, positive, read

INSTALLED_APPS = [*INSTALLED_APPS, "dispatcher"]

# The ledger's statements are prepared by name (ledger/statements.py): planning them again costs more than running them.
# Django turns preparing off; this threshold allows it, and is too high for what did not ask to be prepared.
# Their plans are generic ones that walk the indexes made for them, whatever the statistics of a table that was empty
# when the plan was made.
PLANNING = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off"
_options = DATABASES["default"].setdefault("OPTIONS", {})
_options["prepare_threshold"] = 1_000_000
# A session that holds a lock ends within a minute of its host's vanishing.
_options["options"] = (
    f"{_options.get('options', '')} {PLANNING}"
    " -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
).strip()

# The external service: smtp://, smtp+starttls:// or smtps://user:password@host:port?connections=20&timeout=30
MAIL_SERVICE_URL: str = read("str", "MAIL_SERVICE_URL")
try:
    url.parse(MAIL_SERVICE_URL)
except url.WrongUrl as error:
    raise ImproperlyConfigured(f"MAIL_SERVICE_URL: {error}") from None
if MODE == mode.PRODUCTION:
    mode.require(MAIL_SERVICE_URL=urlsplit(MAIL_SERVICE_URL).hostname != mode.INBOX)

# What this host is called in EHLO: a full name (RFC 5321, 4.1.1.1), or its address in brackets (4.1.3).
EHLO_NAME: str = read("str", "EHLO_NAME", "")
if EHLO_NAME and not url.EHLO.fullmatch(EHLO_NAME):
    raise ImproperlyConfigured(f"EHLO_NAME: a name like mail.example.org or [192.0.2.1] is wanted, not {EHLO_NAME!r}.")

# The domain that bounces and complaints come to, where a name server says so (MX): each letter of a mailing has an
# envelope sender of its own there. Without it bounces go to MAIL_FROM, and nobody reads them. The inbox knows one.
_BEFORE_THE_INBOX = MODE != mode.PRODUCTION and urlsplit(MAIL_SERVICE_URL).hostname == mode.INBOX
BOUNCE_DOMAIN: str = domain("BOUNCE_DOMAIN", mode.INBOX_BOUNCE_DOMAIN if _BEFORE_THE_INBOX else "")

# The domain whose SPF record names the servers of the mail service: amazonses.com. With an own server, whose name is
# EHLO_NAME, none is needed.
SPF_INCLUDE: str = domain("SPF_INCLUDE", "")

# Where `dispatcher bounces` takes them: SMTP, host:port. Port 25 of BOUNCE_DOMAIN's mail server has to lead there.
BOUNCE_LISTEN: str = read("str", "BOUNCE_LISTEN", "127.0.0.1:2526")
if not re.fullmatch(r"[\w.:\[\]-]*:\d{1,5}", BOUNCE_LISTEN, re.ASCII) or int(BOUNCE_LISTEN.rpartition(":")[2]) > 65535:
    raise ImproperlyConfigured("BOUNCE_LISTEN: host:port is wanted, as 0.0.0.0:2525.")

# Where they may be read by IMAP instead, by the same process: a mailbox for all of BOUNCE_DOMAIN's mail.
_mailbox: str = read("str", "BOUNCE_MAILBOX", "")
try:
    BOUNCE_MAILBOX = Mailbox.parse(_mailbox) if _mailbox else None
except WrongMailbox as error:
    raise ImproperlyConfigured(f"BOUNCE_MAILBOX: {error}") from None
if BOUNCE_MAILBOX and not BOUNCE_DOMAIN:
    raise ImproperlyConfigured("BOUNCE_MAILBOX: BOUNCE_DOMAIN is wanted as well, the domain of what comes there.")

# Lines that every letter of a mailing has beside its own, as a service wants them: {"X-PM-Message-Stream": "broadcast"}
EXTRA_HEADERS: dict[str, str] = read("json", "EXTRA_HEADERS", {})
try:
    EXTRA_HEADER_LINES = extra_headers.lines(EXTRA_HEADERS)
except ValueError as error:
    raise ImproperlyConfigured(f"EXTRA_HEADERS: {error}") from None

# A file with the certificates that are trusted, instead of the system's. OpenSSL reads the variable itself, and takes
# an empty one for a file that is not there.
SSL_CERT_FILE: str = read("str", "SSL_CERT_FILE", "")
if not SSL_CERT_FILE:
    os.environ.pop("SSL_CERT_FILE", None)
elif not (Path(SSL_CERT_FILE).is_file() and os.access(SSL_CERT_FILE, os.R_OK)):
    raise ImproperlyConfigured(f"SSL_CERT_FILE: there is no file {SSL_CERT_FILE} that can be read.")
else:
    try:  # OpenSSL would say nothing, and trust nobody
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(SSL_CERT_FILE)
    except ssl.SSLError:
        raise ImproperlyConfigured(f"SSL_CERT_FILE: {SSL_CERT_FILE} holds no certificate in PEM.") from None

# A letter is tried this often at most; the n-th retry waits RETRY_BASE_SECONDS × 2ⁿ⁻¹, spread by a quarter, an hour at
# the most, and never past the window.
MAX_ATTEMPTS: int = positive("int", "MAX_ATTEMPTS", 8)
if MAX_ATTEMPTS > 1000:
    raise ImproperlyConfigured(f"MAX_ATTEMPTS: a number up to 1000 is wanted, not {MAX_ATTEMPTS}.")
RETRY_BASE_SECONDS: float = positive("float", "RETRY_BASE_SECONDS", 30.0)
RETRY_CAP_SECONDS: float = 3600.0

# How many failures in a row, of all processes together, open the circuit breaker.
BREAKER_FAILURES: int = positive("int", "BREAKER_FAILURES", 3)

# How many seconds a service that took nothing is left alone after the first, the second … failed probe in a row.
PROBE_BACKOFF: list[float] = read("list", "PROBE_BACKOFF", [1, 2, 4, 8, 16, 30], subcast=float)
if not PROBE_BACKOFF or min(PROBE_BACKOFF) <= 0 or max(PROBE_BACKOFF) > 3600:
    raise ImproperlyConfigured("PROBE_BACKOFF: seconds above zero are wanted, an hour at most, separated by commas.")

# The same where it refused user and password or the token: services shut out who tries that again and again.
LOGIN_BACKOFF: list[float] = read("list", "LOGIN_BACKOFF", [60, 300, 900], subcast=float)
if not LOGIN_BACKOFF or min(LOGIN_BACKOFF) <= 0 or max(LOGIN_BACKOFF) > 3600:
    raise ImproperlyConfigured("LOGIN_BACKOFF: seconds above zero are wanted, an hour at most, separated by commas.")

# How many letters may be handed over in any second, minute, hour or day: by the whole installation, "50/s, 2000/min,
# 100000/day"; for each owner; to each recipient domain, "gmail.com=20/s,1000/h; *=100/s", * being those not named.
RATE_LIMITS: rules.Windows = rules.windows("RATE_LIMITS", read("str", "RATE_LIMITS", ""))
OWNER_RATE_LIMITS: rules.Windows = rules.windows("OWNER_RATE_LIMITS", read("str", "OWNER_RATE_LIMITS", ""))
DOMAIN_RATE_LIMITS: dict[str, rules.Windows] = rules.domain_windows(
    "DOMAIN_RATE_LIMITS", read("str", "DOMAIN_RATE_LIMITS", "")
)

# What becomes of a letter that was handed over without a readable answer: tried again, or held for a person.
UNKNOWN_OUTCOMES: str = read("str", "UNKNOWN_OUTCOMES", "retry")
if UNKNOWN_OUTCOMES not in ("retry", "hold"):
    raise ImproperlyConfigured("UNKNOWN_OUTCOMES: retry or hold is wanted.")

# Processes of `dispatcher bulk`. __main__.py starts them; it is read here so that `check` finds what could not be.
BULK_PROCESSES: int = positive("int", "BULK_PROCESSES", 2)
if BULK_PROCESSES > 64:
    raise ImproperlyConfigured(f"BULK_PROCESSES: a number from 1 to 64 is wanted, not {BULK_PROCESSES}.")

# A lane works off one slice, then lets the others: so owners take turns. An owner needs as many lanes as there are bulk
# processes to have all of them when nobody else wants any.
LANES_PER_OWNER: int = positive("int", "LANES_PER_OWNER", 2)
SLICE_SECONDS: float = positive("float", "SLICE_SECONDS", 1.0)

# A worker beats every second, hands nothing over after five without, and is dead after ten.
BEAT = timedelta(seconds=1)
STALE_AFTER = timedelta(seconds=5)
DEAD_AFTER = timedelta(seconds=10)
GATE_VALID_FOR = timedelta(seconds=2)
RECOVERIES = 3

# dramatiq's own defaults would kill, drop or double lanes; what actors need, they name (actors.py). A broken consumer's
# messages come back after 15 s: nothing waits for that, the tick wakes what should be awake.
DRAMATIQ_BROKER = {
    "BROKER": "dispatcher.queue.broker.Broker",
    "OPTIONS": {
        "url": REDIS_URL,
        "namespace": "vestnik",
        "heartbeat_timeout": 15_000,
        "maintenance_chance": 100_000,
        "dead_message_ttl": DEAD_JOB_TTL // timedelta(milliseconds=1),
    },
    "MIDDLEWARE": [
        "dispatcher.queue.middleware.DeadJobMiddleware",  # before Retries: what that decides, it learns
        "dramatiq.middleware.TimeLimit",
        "dramatiq.middleware.ShutdownNotifications",
        "dramatiq.middleware.CurrentMessage",
        "dispatcher.queue.middleware.Retries",
        "periodiq.PeriodiqMiddleware",
        "django_dramatiq.middleware.DbConnectionsMiddleware",
    ],
}

error_tracking.watch("dispatcher")

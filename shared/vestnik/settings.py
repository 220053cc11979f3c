"""What the settings of both services have in common.

The environment is read here and in the services' own settings, once, and loudly: a value that cannot be understood
stops the start with a sentence that names its variable. Any variable may come from a file: ``SECRET_KEY_FILE`` names
one that holds ``SECRET_KEY``.
"""

import os
import re
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
import periodiq
from django.core.exceptions import ImproperlyConfigured
from environs import EnvError, FileAwareEnv
from sentry_sdk.utils import Dsn

from vestnik import __version__, logs, mode
from vestnik.addresses import InvalidAddress, normalise

env = FileAwareEnv(strip_whitespace=True)

NAMESERVER = re.compile(
    r"(?:(?P<v4>[\d.]+)|\[(?P<v6>[^\[\]]+)\])(?::(?P<port>\d{1,5}))?|(?P<bare>[^\[\]]*:[^\[\]]*)", re.ASCII
)
FRONT_SECRETS = re.compile(r"[-\w]{16,200}", re.ASCII)  # it stands between quotes in nginx's configuration


ASKED: dict[str, Any] = {}
"""Every variable that was read, with its default; NEEDED where it has none. tools/variables.py makes a table of it."""
NEEDED = object()


def read(kind: str, name: str, *args: Any, **kwargs: Any) -> Any:
    """Return the variable `name`, read as environs' `kind` ("str", "int", "bool", "list" …); empty is as good as not
    set.

    Raises ImproperlyConfigured with a sentence that names the variable.
    """
    ASKED[name] = args[0] if args else NEEDED
    if args and os.environ.get(name) == "" and f"{name}_FILE" not in os.environ:
        return args[0]
    try:
        return getattr(env, kind)(name, *args, **kwargs)
    except (EnvError, ValueError, OSError) as error:
        raise ImproperlyConfigured(str(error) if name in str(error) else f"{name}: {error}") from None


# How long a PostgreSQL is waited for that takes no connection, or whose host is gone without a word: by itself Linux
# would wait for hours. Whatever the URL says of these counts instead.
PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


def database(name: str) -> dict[str, Any]:
    """Return Django's DATABASES entry for the PostgreSQL URL in the variable `name`. Raises ImproperlyConfigured."""
    url = read("str", name)
    try:
        parsed = dj_database_url.parse(url, conn_max_age=600, conn_health_checks=True)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None
    if parsed["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured(f"{name}: only PostgreSQL is supported (postgresql://user:password@host/name).")
    return {**parsed, "OPTIONS": PATIENCE | parsed.get("OPTIONS", {})}


def address(name: str, default: str) -> str:
    """Return the normalised e-mail address in the variable `name`. Raises ImproperlyConfigured."""
    try:
        return normalise(read("str", name, default), ascii_only=True)
    except InvalidAddress as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def domain(name: str, default: str) -> str:
    """Return the domain of e-mail addresses in the variable `name`, in ASCII; empty where there is none.

    Raises ImproperlyConfigured.
    """
    found: str = read("str", name, default)
    try:
        return normalise(f"x@{found}", ascii_only=True).rpartition("@")[2] if found else ""
    except InvalidAddress:
        raise ImproperlyConfigured(f"{name}: a domain is wanted, as bounces.example.org, not {found!r}.") from None


def redis_url(name: str, default: str | None = None) -> str:
    """Return the redis://, rediss:// or unix:// URL in the variable `name`. Raises ImproperlyConfigured."""
    url: str = read("str", name) if default is None else read("str", name, default)
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ImproperlyConfigured(f"{name}: a redis://, rediss:// or unix:// URL is wanted, not {url!r}.")
    return url


def impatient(url: str) -> str:
    """Return the Redis URL with time limits: no command waits for more than a third of a second."""
    return f"{url}{'&' if '?' in url else '?'}socket_connect_timeout=0.3&socket_timeout=0.3"


def site(name: str, default: str) -> str:
    """Return the http:// or https:// address of a site in the variable `name`, without a path.

    Raises ImproperlyConfigured.
    """
    url: str = read("str", name, default) or default
    parts = urlsplit(url)
    if not url:
        return url
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
        raise ImproperlyConfigured(f"{name}: https://host or http://host:port is wanted, not {url!r}.")
    host, colon, port = parts.netloc.partition(":")
    return f"{parts.scheme}://{_in_ascii(name, host)}{colon}{port}"


def _in_ascii(name: str, host: str) -> str:
    """Return the host's name in the variable `name` as browsers send it: xn--… for what is not written in ASCII."""
    try:
        return host.lower() if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise ImproperlyConfigured(f"{name}: {host!r} is no name of a host.") from None


def sentry_dsn(name: str) -> str:
    """Return Sentry's DSN in the variable `name`; empty where there is none. Raises ImproperlyConfigured."""
    dsn: str = read("str", name, "")
    try:
        if dsn:
            Dsn(dsn)
    except ValueError:  # whose words repeat it
        raise ImproperlyConfigured(f"{name}: https://key@host/project is wanted, as Sentry shows it.") from None
    return dsn


def nameservers(name: str) -> list[tuple[str, int]]:
    """Return the DNS servers in the variable `name`, several by commas: IP address and port; none where it is empty.

    Raises ImproperlyConfigured.
    """
    return [_nameserver(name, written.strip()) for written in read("list", name, []) if written.strip()]


def _nameserver(name: str, written: str) -> tuple[str, int]:
    parts = NAMESERVER.fullmatch(written)
    try:
        if parts is None or not 0 < (port := int(parts["port"] or 53)) <= 65535:
            raise ValueError
        host = IPv4Address(parts["v4"]) if parts["v4"] else IPv6Address(parts["v6"] or parts["bare"])
    except ValueError:
        raise ImproperlyConfigured(
            f"{name}: IP addresses are wanted, as 192.0.2.1 or 192.0.2.1:53 or [2001:db8::1]:53, not {written!r}."
        ) from None
    return str(host), port


def positive(kind: str, name: str, default: float) -> Any:
    """Return the number above zero in the variable `name`. Raises ImproperlyConfigured."""
    number = read(kind, name, default)
    if not number > 0:
        raise ImproperlyConfigured(f"{name}: a number above zero is wanted, not {number}.")
    return number


# What the installation is for: production, trial or local (vestnik.mode).
MODE: str = read("str", "MODE", mode.PRODUCTION)
if MODE not in mode.MODES:
    raise ImproperlyConfigured("MODE: local, trial or production is wanted.")

SECRET_KEY: str = read("str", "SECRET_KEY")
# Keys of before: what was signed by them, sessions and links in letters, is good until they are taken out.
SECRET_KEY_FALLBACKS: list[str] = [key.strip() for key in read("list", "SECRET_KEY_FALLBACKS", []) if key.strip()]
DEBUG: bool = read("bool", "DEBUG", False)
ALLOWED_HOSTS: list[str] = [_in_ascii("ALLOWED_HOSTS", host.strip()) for host in read("list", "ALLOWED_HOSTS", [])]

DATABASES = {"default": database("DATABASE_URL")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The broker must never evict, the cache may: two databases of one server on a laptop, two servers in earnest.
REDIS_URL = redis_url("REDIS_URL")
CACHE_URL = redis_url("CACHE_URL", REDIS_URL)
# What is kept there is done without while it is away: limits on signing in and up, and notes of how things stand.
CACHES = {"default": {"BACKEND": "vestnik.cache.ForgivingRedisCache", "LOCATION": impatient(CACHE_URL)}}

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "guardian",
    "django_dramatiq",
    "vestnik.accounts",
    "vestnik.clients",
    "vestnik.senders",
    "vestnik.mailings",
    "vestnik.blog",
    "vestnik.installation",
    "vestnik.front",
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "vestnik.accounts.passwords.UnlikeThePerson",
        "OPTIONS": {"user_attributes": ["email", "full_name"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
ANONYMOUS_USER_NAME = None  # guardian: no row that stands for visitors

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ru", "Русский")]
LOCALE_PATHS = [Path(__file__).parent / "locale"]

# The installation's own address: every letter's From, and the domain of its Message-ID.
MAIL_FROM = address("MAIL_FROM", mode.NOBODYS_ADDRESS)

# The name beside it in letters that the installation itself writes; empty is Vestnik, in the reader's language.
MAIL_FROM_NAME: str = read("str", "MAIL_FROM_NAME", "")

# Who is asked what the DNS says of domains (vestnik.senders.dns); none: whom this machine asks.
DNS_RESOLVER = nameservers("DNS_RESOLVER")

# Of one letter, whatever its message and a client's values make of it. Most mail services take 10 to 35 MB.
MAX_LETTER_BYTES: int = positive("int", "MAX_LETTER_BYTES", 10_000_000)

# Which domains letters may come from beside MAIL_FROM's: those that their owners have proven, or only those that an
# administrator allows. A mail service that takes letters of the senders alone that it knows itself wants the second.
SENDER_DOMAINS: str = read("str", "SENDER_DOMAINS", "proven")
if SENDER_DOMAINS not in ("proven", "allowed"):
    raise ImproperlyConfigured("SENDER_DOMAINS: proven or allowed is wanted.")

# What Django itself writes is stored, and handed over by the dispatcher: no page waits for the external service.
EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"
DEFAULT_FROM_EMAIL = SERVER_EMAIL = MAIL_FROM

# How long a job that died is kept, to be looked at and tried again (vestnik.dead_jobs). Whoever asks the broker for
# anything cleans up by what is set in their own settings.
DEAD_JOB_TTL = timedelta(days=30)

# Enqueueing is a hint (the tick finds in the ledger what a lost message meant), so it may not keep anybody waiting.
# The web declares no actors: its broker needs no middleware.
DRAMATIQ_BROKER: dict[str, Any] = {
    "BROKER": "dramatiq.brokers.redis.RedisBroker",
    "OPTIONS": {
        "url": impatient(REDIS_URL),
        "namespace": "vestnik",
        "dead_message_ttl": DEAD_JOB_TTL // timedelta(milliseconds=1),
    },
    "MIDDLEWARE": [],
}

# Where people find this installation: https://vestnik.example.org. Public pages name it in feeds and to other sites.
SITE_URL = site("SITE_URL", "http://localhost:8000")

if MODE == mode.PRODUCTION:
    mode.require(
        SECRET_KEY=mode.is_secret(SECRET_KEY),
        SECRET_KEY_FALLBACKS=all(map(mode.is_secret, SECRET_KEY_FALLBACKS)),
        DEBUG=not DEBUG,
        SITE_URL=SITE_URL.startswith("https://"),
        MAIL_FROM=MAIL_FROM != mode.NOBODYS_ADDRESS,
    )
if MODE == mode.TRIAL:
    mode.require(MODE=not SITE_URL.startswith("https://"))

# Where the dispatcher finds the nginx that keeps copies of public pages, to have it fetch what changed; empty where
# there is none. The secret is known to nginx, the web and the dispatcher: by it they know one another.
FRONT_URL = site("FRONT_URL", "")
FRONT_SECRET: str = read("str", "FRONT_SECRET", "")
if (FRONT_URL or FRONT_SECRET) and not FRONT_SECRETS.fullmatch(FRONT_SECRET):
    raise ImproperlyConfigured("FRONT_SECRET: 16 letters, digits or hyphens are wanted, or more, with FRONT_URL.")

# Of one file of clients. Its pieces lie in PostgreSQL until it is imported.
IMPORT_LIMIT_BYTES: int = positive("int", "IMPORT_LIMIT_MB", 100) << 20

# How many imports of an owner's may wait or be under way at once, and how many files may come within a day.
IMPORTS_AT_ONCE: int = positive("int", "IMPORTS_AT_ONCE", 10)
IMPORTS_PER_DAY: int = positive("int", "IMPORTS_PER_DAY", 200)

# How many lists of clients, senders (and domains of them) and shares an owner may have; how often something may be
# shared within a day.
LISTS_PER_OWNER: int = positive("int", "LISTS_PER_OWNER", 1000)
SENDERS_PER_OWNER: int = positive("int", "SENDERS_PER_OWNER", 50)
SHARES_PER_OWNER: int = positive("int", "SHARES_PER_OWNER", 1000)
SHARES_PER_DAY: int = positive("int", "SHARES_PER_DAY", 50)
# Who something is shared with is told by a letter, whoever they are; not if that many letters of Vestnik's own have
# been written to their address within a day.
INVITATIONS_PER_ADDRESS: int = positive("int", "INVITATIONS_PER_ADDRESS", 10)

# Where files wait that are too large for memory; the system's own folder if none is named.
FILE_UPLOAD_TEMP_DIR: str | None = read("str", "SCRATCH_ROOT", None)

# How often everything that is due is looked for. Starts do not wait for it: they are hinted with their exact delay.
TICK_CRON: str = read("str", "TICK_CRON", "* * * * *")
try:
    _fields = periodiq.cron(TICK_CRON).astuple()
    if not all(values and max(values) <= most for values, most in zip(_fields, (59, 23, 31, 12, 7), strict=True)):
        raise ValueError
except (ValueError, KeyError, IndexError):
    raise ImproperlyConfigured(f"TICK_CRON: five fields of cron are wanted, not {TICK_CRON!r}.") from None

# Errors go to Sentry, or to what speaks its language, if this names a project there (vestnik.error_tracking).
SENTRY_DSN: str = sentry_dsn("SENTRY_DSN")
SENTRY_ENVIRONMENT: str = read("str", "SENTRY_ENVIRONMENT", "production")
SENTRY_RELEASE: str = read("str", "SENTRY_RELEASE", f"vestnik@{__version__}")

# Where Prometheus asks: a port of the processes' own, that no proxy shows to anybody; 0 is none.
METRICS_PORT: int = read("int", "METRICS_PORT", 0)
if not 0 <= METRICS_PORT <= 65535:
    raise ImproperlyConfigured("METRICS_PORT: a port is wanted, or 0 for none.")
METRICS_HOST: str = read("str", "METRICS_HOST", "127.0.0.1")

LOG_LEVEL = read("str", "LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
    raise ImproperlyConfigured("LOG_LEVEL: one of DEBUG, INFO, WARNING, ERROR, CRITICAL is wanted.")
# Lines for people, or a line of JSON each.
LOG_FORMAT: str = read("str", "LOG_FORMAT", logs.PLAIN)
if LOG_FORMAT not in logs.FORMATS:
    raise ImproperlyConfigured("LOG_FORMAT: plain or json is wanted.")
LOGGING = logs.configuration(LOG_FORMAT, LOG_LEVEL)
LOGGING_CONFIG = "vestnik.logs.configure"

"""What an installation is for: real use ("production"), a trial on one's own machine, or work on Vestnik ("local").

In real use the start refuses what would be dangerous there. Where MODE is not set, it is real use.
"""

from django.core.exceptions import ImproperlyConfigured

LOCAL, TRIAL, PRODUCTION = "local", "trial", "production"
MODES = (LOCAL, TRIAL, PRODUCTION)

LEAST_KEY = 32
WELL_KNOWN = ("django-insecure", "change-me", "change_me", "changeme", "replace-me", "your-secret", "example", "secret")
"""Beginnings of keys that others know from examples. Those of our own tests and examples are too short."""

NOBODYS_ADDRESS = "vestnik@localhost.localdomain"
"""MAIL_FROM where it is not set: no service would take its letters."""

INBOX = "inbox"
"""The trial's mail service in docker-compose.yml, whose letters, with links to sign in by, everybody sees."""

INBOX_BOUNCE_DOMAIN = "bounces.inbox.example"
"""BOUNCE_DOMAIN before the inbox, where it is not set: the inbox knows where that is."""

SENTENCES = {
    "MODE": "a trial shows its letters to everybody; where people come over HTTPS, `make up` makes an installation.",
    "SECRET_KEY": f"{LEAST_KEY} characters that nobody knows are wanted, or more; `openssl rand -hex 32` makes some.",
    "SECRET_KEY_FALLBACKS": f"keys of before are wanted, separated by commas, each of {LEAST_KEY} characters or more.",
    "DEBUG": "its pages show strangers what is inside; it may be true with MODE=local or MODE=trial only.",
    "SITE_URL": "the address at which people find this installation is wanted, as https://vestnik.example.org.",
    "MAIL_FROM": "the address that letters come from is wanted; its domain has to be yours.",
    "ALLOWED_HOSTS": "the host names that the web answers to are wanted, each by itself and without a *.",
    "MAIL_SERVICE_URL": "the service that sends letters to people is wanted; a trial's inbox shows them to everybody.",
    "COOKIES_OVER_HTTPS_ONLY": "without it anybody on the way can sign in as somebody else; leave it out.",
}


def require(**holds: bool) -> None:
    """Refuse the first of the named variables that does not hold.

    Raises ImproperlyConfigured with a sentence that names the variable, and never repeats its value.
    """
    for name, is_right in holds.items():
        if not is_right:
            raise ImproperlyConfigured(f"{name}: {SENTENCES[name]}")


def is_secret(key: str) -> bool:
    """Say whether this key can only be this installation's: long, of many characters, and no well-known example."""
    return len(key) >= LEAST_KEY and len(set(key)) >= 10 and not key.lower().startswith(WELL_KNOWN)

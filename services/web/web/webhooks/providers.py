"""The mail services that tell of bounces by webhooks, and how each proves who it is: as `WEBHOOKS` says.

    WEBHOOKS='{"postmark": {"webhook_secret": "vestnik:a-long-password"}, "mailgun": {"webhook_signing_key": "…"}}'

The keys are django-anymail's (https://anymail.dev/en/stable/esps/): `webhook_secret` is user and password of HTTP's
basic authentication, which the address that is told to the service holds; others sign what they send.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode
from importlib import import_module
from typing import Any

AMAZON = "amazon_ses"
SIGNS: dict[str, tuple[str, str]] = {
    AMAZON: ("AmazonSESTrackingWebhookView", ""),
    "brevo": ("BrevoTrackingWebhookView", ""),
    "mailgun": ("MailgunTrackingWebhookView", "webhook_signing_key"),
    "postal": ("PostalTrackingWebhookView", "webhook_key"),
    "postmark": ("PostmarkTrackingWebhookView", ""),
    "sendgrid": ("SendGridTrackingWebhookView", "tracking_webhook_verification_key"),
    "unisender_go": ("UnisenderGoTrackingWebhookView", "api_key"),
}
"""The library's name of each, and the key by which it signs what it sends, if it does."""
EITHER = frozenset({"sendgrid"})
"""Such as sign, or do not."""
PUBLIC_KEYS = frozenset({"webhook_key", "tracking_webhook_verification_key"})
SECRET = "webhook_secret"  # noqa: S105
LEAST_SECRET = 16
"""Characters."""
OLDEST = 24 * 3600.0
"""Seconds: Mailgun tries for eight hours."""


class WrongWebhooks(ValueError):
    """The setting is wrong; `str(error)` is one sentence that never holds a secret."""


def checked(chosen: Any) -> dict[str, dict[str, str]]:
    """Return the setting as it was read. Raises WrongWebhooks."""
    if not isinstance(chosen, dict):
        raise WrongWebhooks('an object is wanted, as {"postmark": {"webhook_secret": "user:password"}}.')
    for name, options in chosen.items():
        if name not in SIGNS:
            raise WrongWebhooks(f"{str(name)[:40]!r} is not known; known are {', '.join(SIGNS)}.")
        key = SIGNS[name][1]
        if not isinstance(options, dict) or not all(isinstance(value, str) for value in options.values()):
            raise WrongWebhooks(f"{name}: an object of texts is wanted.")
        if unknown := options.keys() - ({SECRET, key} - {""}):
            raise WrongWebhooks(f"{name}: {min(unknown)[:40]!r} is not known.")
        by_secret = not key or (name in EITHER and not options.get(key))
        if not by_secret and not (options.get(key) and options[key].isascii()):
            raise WrongWebhooks(f"{name}: {key} is wanted.")
        if (by_secret or SECRET in options) and len(options.get(SECRET, "")) < LEAST_SECRET:
            raise WrongWebhooks(f"{name}: {SECRET} (user:password, {LEAST_SECRET} characters or more) is wanted.")
        if key in PUBLIC_KEYS and options.get(key) and not _is_public_key(options[key]):
            raise WrongWebhooks(f"{name}: {key} is no public key, as the service shows it, in one line.")
        if SECRET in options and ":" not in options[SECRET]:
            raise WrongWebhooks(f"{name}: {SECRET} is user:password.")
    return chosen


def _is_public_key(text: str) -> bool:
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        load_der_public_key(b64decode(text, validate=True))
    except ValueError:
        return False
    return True


def is_old(name: str, body: bytes) -> bool:
    """Say whether a proven post may be somebody's copy of an old one: Mailgun signs no content, only when it was."""
    if name != "mailgun":
        return False
    return abs(time.time() - float(json.loads(body)["signature"]["timestamp"])) > OLDEST


def view(name: str, options: dict[str, str]) -> Any:
    """Return the library's view of the service, which proves and reads what it sends."""
    made = getattr(import_module(f"anymail.webhooks.{name}"), SIGNS[name][0])
    if name != AMAZON:
        return made(**options)
    from anymail.webhooks.base import AnymailBaseWebhookView

    class WithoutAmazonsLibrary(made):  # type: ignore[misc, valid-type]
        """The same: the library is wanted to confirm a subscription alone, which an operator does (views.py)."""

        def __init__(self, **kwargs: Any) -> None:
            self.auto_confirm_enabled = False
            AnymailBaseWebhookView.__init__(self, **kwargs)

    return WithoutAmazonsLibrary(**options)

"""The link of one click is tried whenever letters go out, posted as a mailbox provider would (RFC 8058)."""

from __future__ import annotations

import logging
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache

from vestnik.mailings import unsubscribe_links

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds."""
TRY_EVERY = 60
"""Seconds between two tries, however many launches there are."""
TRIED = "vestnik:link_trial:tried"
TELL_EVERY = 3600
"""Seconds until the same is told again."""
TOLD = "vestnik:link_trial"


def try_link() -> None:
    """Post the link that stops nothing; tell operators, once an hour, where it is not answered by 200."""
    if not cache.add(TRIED, True, TRY_EVERY):
        return
    fault = _fault(unsubscribe_links.trial())
    if not fault:
        cache.delete(TOLD)
    elif cache.add(TOLD, True, TELL_EVERY):
        logger.error(
            "the link by which people unsubscribe with one click does not work: POST %s%s… %s. Letters go out; mailbox"
            " providers, and people, cannot stop them. Is SITE_URL the address at which everybody finds this"
            " installation, and does nothing before it ask for cookies or redirect?",
            *(settings.SITE_URL, unsubscribe_links.PATH, fault),
        )


def _fault(link: str) -> str:
    """Return what is wrong with the answer; empty where nothing is. Redirects are not followed: others do not, too."""
    parts = urlsplit(link)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=PATIENCE)
    try:
        connection.request(
            "POST",
            parts.path,
            b"List-Unsubscribe=One-Click",
            {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Vestnik (trial of one click)"},
        )
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"is not answered ({error})"
    finally:
        connection.close()
    return "" if status == 200 else f"is answered with {status}"

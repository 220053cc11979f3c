"""What letters from an address are signed with, and where their bounces may come to: what its domains have in use."""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from django.core.cache import cache

from vestnik import addresses, encryption
from vestnik.mail import dkim, dkim_keys
from vestnik.senders.models import SIGNING, DkimKey, speaking_for

logger = logging.getLogger(__name__)

PURPOSE = "dkim"
"""What private keys are encrypted for."""
TOLD_AGAIN = 3600
"""Seconds for which operators are not told again of a key that cannot be read."""
RETURN_HOST = "bounce"
"""The label before an owner's domain at which bounces may come back."""

Signer = Callable[[bytes, datetime], bytes]
"""Returns the letter, signed at that moment."""


def signer_of(owner_id: int | None, address: str) -> Signer | None:
    """Return what signs letters of the owner's (None: of Vestnik's own) from this address; None if nothing does.

    The nearest domain that has keys in use signs, with all of them: one of each algorithm. A key that cannot be read
    signs nothing, and operators are told.
    """
    domains = speaking_for(owner_id, addresses.domain(address))
    keys = DkimKey.objects.filter(SIGNING, domain__in=domains).select_related("domain").order_by("-algorithm")
    found = sorted(keys, key=lambda key: (-len(key.domain.name), key.domain.owner_id is None))
    loaded = [_loaded(key) for key in found if key.domain_id == found[0].domain_id]
    ready = [key for key in loaded if key is not None]
    return dkim.signer(ready) if ready else None


def return_path_of(owner_id: int, address: str, domain: str) -> str:
    """Return the domain to which bounces of letters from this address come, BOUNCE_DOMAIN being `domain`: one below
    the address's own where the DNS says that it leads there, so that SPF speaks for the same domain as the letter.
    """
    if not domain:
        return ""
    leading = speaking_for(owner_id, addresses.domain(address)).filter(return_path_at__isnull=False)
    nearest = max(leading.values_list("name", flat=True), key=len, default="")
    return return_host(nearest) if nearest else domain


def return_host(name: str) -> str:
    """Return the name below a domain at which its bounces may come back."""
    return f"{RETURN_HOST}.{name}"


def _loaded(key: DkimKey) -> dkim_keys.SigningKey | None:
    try:
        return _opened(key.domain.name, key.selector, bytes(key.private))
    except ValueError as error:
        if cache.add(f"vestnik:dkim:told:{key.pk}", True, TOLD_AGAIN):
            logger.error("the key %s (%d) signs nothing: %s", key.host, key.pk, error)
        return None


@lru_cache(maxsize=256)
def _opened(domain: str, selector: str, sealed: bytes) -> dkim_keys.SigningKey:
    return dkim_keys.load_key(domain, selector, encryption.decrypted(sealed, PURPOSE))

"""Which letter a text of somebody else's is about: by its Message-ID, or its link to unsubscribe, anywhere in the text.

Neither can be made up: a Message-ID has its run's key in it, sixteen digits that nobody else knows; a link is signed.
"""

import re

from vestnik.mailings import unsubscribe_links
from vestnik.mailings.ledger.models import Delivery

MOST = 10
"""Different names of letters that are looked up."""
LOOKED_AT = 200_000
"""Characters of a text."""

_MESSAGE_ID = re.compile(r"(?<!\d)(\d{1,19})\.([0-9a-f]{16})@")
_LINK = re.compile(rf"{unsubscribe_links.PATH}([A-Za-z0-9_-]{{18,40}})(?![A-Za-z0-9_-])")


def named_in(text: str) -> int | None:
    """Return the number of the first letter of ours that the text names; None if it names none."""
    seen = text[:LOOKED_AT]
    for number, key in list(dict.fromkeys(_MESSAGE_ID.findall(seen)))[:MOST]:
        if int(number) < 1 << 63 and Delivery.objects.filter(pk=int(number), run__key=key).exists():
            return int(number)
    for token in list(dict.fromkeys(_LINK.findall(seen)))[:MOST]:
        if delivery_id := unsubscribe_links.read(token):
            return delivery_id
    return None

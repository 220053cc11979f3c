"""Which letter a text of somebody else's is about: by its Message-ID, or its link to unsubscribe, anywhere in the text.

Only readers of its run can make one up: a Message-ID has the run's key in it, and a link is signed. So the letter must
have gone to the address that is told of, too.
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


def named_in(text: str, recipient: str) -> int | None:
    """Return the number of the first letter of ours to this normalised address that the text names; None if it names
    none.
    """
    seen = text[:LOOKED_AT]
    theirs = Delivery.objects.filter(address=recipient)
    for number, key in list(dict.fromkeys(_MESSAGE_ID.findall(seen)))[:MOST]:
        if int(number) < 1 << 63 and theirs.filter(pk=int(number), run__key=key).exists():
            return int(number)
    for token in list(dict.fromkeys(_LINK.findall(seen)))[:MOST]:
        delivery_id = unsubscribe_links.read(token)
        if delivery_id and theirs.filter(pk=delivery_id).exists():
            return delivery_id
    return None

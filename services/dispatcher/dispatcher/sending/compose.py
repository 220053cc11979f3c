"""From a claimed delivery to the letter that is handed over."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from dispatcher.ledger.rows import Claimed, NextRun
from dispatcher.providers.base import Letter
from vestnik.mailings import rendering
from vestnik.mailings.ledger.models import message_id


def letter_writer(turn: NextRun, spellings: Mapping[str, str] | None = None) -> Callable[[Claimed], Letter]:
    """Compile the run's frozen message, once; return a function that writes each client's letter.

    `spellings` are how the run's owner spells attributes (`vestnik.clients.attributes`).
    """
    message = rendering.CompiledMessage(
        rendering.Content(
            subject=turn.subject,
            html=turn.html,
            text=turn.text,
            sender=turn.sender,
            sender_name=turn.sender_name,
            reply_to=turn.reply_to,
        ),
        spellings,
    )

    def write(claimed: Claimed) -> Letter:
        key = message_id(claimed.delivery_id, turn.key, turn.sender)
        content = message.render(
            key=key,
            address=claimed.address,
            full_name=claimed.full_name,
            attributes=json.loads(claimed.attributes),
            date=datetime.now(UTC),
        )
        return Letter(claimed.delivery_id, claimed.claim, key, turn.sender, claimed.address, content)

    return write

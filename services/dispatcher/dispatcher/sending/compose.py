"""From a claimed delivery to the letter that is handed over."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.conf import settings

from dispatcher.ledger.rows import Claimed, NextRun
from dispatcher.providers.base import Letter, OfSender
from vestnik.addresses import domain
from vestnik.mail.headers import of_a_list
from vestnik.mailings import rendering, return_addresses, unsubscribe_links
from vestnik.mailings.ledger.models import MailingKind, message_id
from vestnik.senders import signing, standing


def letter_writer(turn: NextRun, spellings: Mapping[str, str] | None = None) -> Callable[[Claimed], Letter]:
    """Compile the run's frozen message, once; return a function that writes each client's letter.

    Its Message-ID is of the run, whatever becomes of the run's sender: a letter that is tried again keeps its own.

    `spellings` are how the run's owner spells attributes (`vestnik.clients.attributes`).
    """
    written = standing.still(turn.owner_id, standing.From(turn.sender, turn.sender_name, turn.reply_to))
    of_sender = OfSender(turn.owner_id, domain(written.address)) if written.address != settings.MAIL_FROM else None
    message = rendering.CompiledMessage(
        rendering.Content(
            subject=turn.subject,
            html=turn.html,
            text=turn.text,
            sender=written.address,
            sender_name=written.name,
            reply_to=written.reply_to,
            headers=_list_headers(turn) + settings.EXTRA_HEADER_LINES,
            one_click=turn.kind == MailingKind.MAILING,
        ),
        spellings,
    )
    link = unsubscribe_links.signer()
    return_path = signing.return_path_of(turn.owner_id, written.address, settings.BOUNCE_DOMAIN)
    come_back_to = return_addresses.writer(return_path) if return_path else None
    sign = signing.signer_of(turn.owner_id, written.address)

    def write(claimed: Claimed) -> Letter:
        key = message_id(claimed.delivery_id, turn.key, turn.sender)
        sender, by_mail = come_back_to(claimed.delivery_id) if come_back_to else (settings.MAIL_FROM, "")
        now = datetime.now(UTC)
        content = message.render(
            key=key,
            address=claimed.address,
            full_name=claimed.full_name,
            attributes=json.loads(claimed.attributes),
            date=now,
            unsubscribe_url=link(claimed.delivery_id),
            unsubscribe_address=by_mail,
        )
        if sign is not None:
            content = sign(content, now)
        return Letter(claimed.delivery_id, claimed.claim, key, sender, claimed.address, content, of_sender)

    return write


def _list_headers(turn: NextRun) -> str:
    if turn.kind != MailingKind.MAILING:
        return ""
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    return of_a_list(f"mailing-{turn.mailing_id}.{host}", f"{turn.run_id}:{turn.mailing_id}:{turn.owner_id}:vestnik")

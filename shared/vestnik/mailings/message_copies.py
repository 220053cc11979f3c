"""Mailings that use somebody else's message, and when they get a copy that belongs to their owner.

What goes out to an owner's clients is written by those who may write to them now: the owner, those with whom the
mailing or the message is shared to edit, and the owner of a message that the mailing's owner has chosen. An editor's
message is copied when the editor chooses it; any other when it is no longer shared. The audit log records it, and the
owner is told.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from vestnik import access, sharing_letters
from vestnik.accounts import audit
from vestnik.accounts.models import User
from vestnik.mailings.models import Mailing, Message

NAMED = 5
"""How many of the mailings a letter and the audit log name."""


def chosen_by(editor: User, mailing: Mailing, from_address: str = "") -> Message:
    """Return the message that the mailing uses after `editor` chose its `message`: the owner's own, or a copy for the
    owner.

    Call it in a transaction.
    """
    chosen = mailing.message
    if mailing.owner_id in (editor.pk, chosen.owner_id):
        return chosen
    same = {"subject": chosen.subject, "html": chosen.html, "text": chosen.text, "language": chosen.language}
    if (there := Message.objects.filter(owner=mailing.owner, **same).order_by("pk").first()) is not None:
        return there  # chosen before, and not changed since
    copy = _copy(chosen, mailing.owner)
    _note(copy, editor, [mailing.name], from_address)
    sharing_letters.tell_of_choice(mailing.owner, editor, mailing.name, copy.subject)
    return copy


def hand_over(mailings: QuerySet[Mailing], by: User | None = None, from_address: str = "") -> None:
    """Let these mailings, which use messages of others, go on with copies of them as they are now.

    `by` is who causes it, where that is not the messages' owner.
    """
    uses: dict[tuple[int, int], list[Mailing]] = {}
    for mailing in mailings.select_related("owner", "message__owner").order_by("pk"):
        uses.setdefault((mailing.message_id, mailing.owner_id), []).append(mailing)
    for of_one in uses.values():
        shared, owner = of_one[0].message, of_one[0].owner
        names = [mailing.name for mailing in of_one]
        with transaction.atomic():
            copy = _copy(shared, owner)
            Mailing.objects.filter(message=shared, pk__in=[mailing.pk for mailing in of_one]).update(message=copy)
            _note(copy, by or shared.owner, names, from_address)
            if by is None or by.pk != owner.pk:
                sharing_letters.tell_of_copy(owner, copy.subject, names[:NAMED])


def _copy(message: Message, owner: User) -> Message:
    copy = Message.objects.create(
        owner=owner, subject=message.subject, html=message.html, text=message.text, language=message.language
    )
    access.grant_to_owner(copy)
    return copy


def _note(copy: Message, by: User, names: list[str], from_address: str) -> None:
    named = ", ".join(f"“{name}”" for name in names[:NAMED]) + (" …" if len(names) > NAMED else "")
    audit.write(audit.AuditAction.COPIED, by, copy, copy.owner.email, address=from_address, reason=named)

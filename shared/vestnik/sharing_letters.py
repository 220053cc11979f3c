"""The letters of sharing: that something is shared with one, and that a mailing of one's own uses a copy.

Anybody can be invited, and so is told nothing that an inviter could write to strangers through us: names alone, short
ones, and none that reads like a link. The letter is the same whether or not somebody has an account with its address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.utils import translation
from django.utils.translation import gettext as _

from vestnik import clock
from vestnik.accounts.letters import COUNTED, AccountLetter, recipient_key
from vestnik.accounts.models import User
from vestnik.accounts.shares import Share, ShareLevel

LONGEST_NAME = 80
LINK = re.compile(r"://|\bwww\.|\w\.[^\W\d_]{2,}|@", re.IGNORECASE)


def invite(share: Share, by: User, obj: Any) -> None:
    """Tell whoever has the share's address of it by a letter.

    Not if the address got INVITATIONS_PER_ADDRESS letters of ours within a day.
    """
    if had_enough(share.address):
        return
    reader = share.user or by  # nobody but who reads it sees in which language it is
    with translation.override(reader.language):
        subject, what = _said(obj._meta.model_name, share.level == ShareLevel.EDIT)
        who = harmless(by.full_name)
        lines = [what % {"who": f"{who} ({by.email})" if who else by.email, "site": settings.SITE_URL}]
        if name := harmless(str(obj)):
            lines.append(_("It is called “%(name)s”.") % {"name": name})
        lines += [
            "",
            _("Sign in there with this address, %(address)s, and you find it. If you have no account yet, sign up"
              " with this address.") % {"address": share.address},
            "",
            _("If you do not know who this is, there is nothing you have to do: nobody learns whether you read this."),
            "",
        ]  # fmt: skip
        send_mail(subject, "\n".join(lines), None, [share.address])


def tell_of_choice(owner: User, editor: User, mailing: str, subject: str) -> None:
    """Tell the owner of a mailing that somebody who may change it has chosen another message for it.

    Nothing is written if the owner has had many letters today, for an editor can choose all day.
    """
    if had_enough(owner.email):
        return
    _write(
        owner,
        lambda: (
            _("Another message was chosen for your mailing “%(name)s”") % {"name": mailing},
            _("%(who)s has chosen the message “%(subject)s” for your mailing “%(name)s”.")
            % {"who": editor.get_full_name(), "subject": subject, "name": mailing},
            _("The mailing sends a copy of it, as it was at that moment. The copy is among your messages."),
        ),
    )


def tell_of_copy(owner: User, subject: str, mailings: Sequence[str]) -> None:
    """Tell the owner of mailings that their message is no longer shared with them, and that a copy takes its place."""
    _write(
        owner,
        lambda: (
            _("Your mailings go on with a copy of “%(subject)s”") % {"subject": subject},
            _("The message “%(subject)s” was shared with you, and is no longer. Mailings of yours use it: %(names)s.")
            % {"subject": subject, "names": ", ".join(f"“{name}”" for name in mailings)},
            _("They go on with a copy of it, as it was at that moment. The copy is among your messages."),
        ),
    )


def spent(moments: Any, limit: int) -> bool:
    """Say whether as many of these moments (a queryset, newest first) as the limit lie within the last day."""
    oldest = moments[limit - 1 : limit].first() if limit else clock.now()
    return oldest is not None and oldest > clock.now() - COUNTED


def had_enough(address: str) -> bool:
    """Say whether this address has had as many letters of ours within a day as it may (INVITATIONS_PER_ADDRESS)."""
    letters = AccountLetter.objects.filter(recipient_key=recipient_key(address)).order_by("-pk")
    return spent(letters.values_list("created_at", flat=True), settings.INVITATIONS_PER_ADDRESS)


def harmless(name: str) -> str:
    """Return the name, cut short; empty where it reads like a link or an address."""
    return "" if LINK.search(name) else name[:LONGEST_NAME].strip()


def _write(person: User, texts: Callable[[], tuple[str, ...]]) -> None:
    with translation.override(person.language):
        subject, *lines = texts()
        send_mail(subject, "\n".join([*lines, ""]), None, [person.email])


def _said(kind: str, may_change: bool) -> tuple[str, str]:
    """Return a letter's subject and its first sentence, for a kind of object."""
    if kind == "mailing":
        return (
            _("A mailing is shared with you"),
            _("%(who)s lets you see and change a mailing at %(site)s.")
            if may_change
            else _("%(who)s lets you see a mailing at %(site)s."),
        )
    if kind == "message":
        return (
            _("A message is shared with you"),
            _("%(who)s lets you see and change a message at %(site)s.")
            if may_change
            else _("%(who)s lets you see a message at %(site)s."),
        )
    return (
        _("A list of clients is shared with you"),
        _("%(who)s lets you see and change a list of clients at %(site)s.")
        if may_change
        else _("%(who)s lets you see a list of clients at %(site)s."),
    )

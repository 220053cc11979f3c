"""What a new account does first, and what comes after what was just done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from vestnik import access
from vestnik.clients.models import Client
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.models import Mailing, Message

if TYPE_CHECKING:
    from vestnik.accounts.models import User


@dataclass(frozen=True)
class Step:
    """One of the first steps, and where it is taken."""

    title: str
    text: str
    done: bool
    actions: list[tuple[str, str]]


def first_steps(user: User) -> list[Step]:
    """Return what a new account does first, in its order; nothing once all of it is done."""
    if not access.may_own(user):
        return []
    steps = [
        Step(
            _("Add clients"),
            _("The people who get your letters: import a file, or type them in."),
            Client.objects.filter(owner=user).exists(),
            [(reverse("clients:import"), _("Import a file")), (reverse("clients:new"), _("Add one"))],
        ),
        Step(
            _("Write a message"),
            _("A subject and a text; it can name each client."),
            Message.objects.filter(owner=user).exists(),
            [(reverse("messages:new"), _("Write a message"))],
        ),
        Step(
            _("Set up a mailing"),
            _("Who gets the message, when it starts, how often it repeats."),
            Mailing.objects.filter(owner=user).exists(),
            [(reverse("mailings:new"), _("Set up a mailing"))],
        ),
        Step(
            _("Watch it being sent"),
            _("Once it starts you see every letter here. It starts by itself, or when you press “Send now”."),
            Run.objects.filter(owner_id=user.pk).exists(),
            [(reverse("mailings:list"), _("To the mailings"))],
        ),
    ]
    return [] if all(step.done for step in steps) else steps


def and_next(user: User, said: str) -> str:
    """Return `said`, of something that was made, as HTML, with the way to the next of the first steps if there is
    one.
    """
    step = next((step for step in first_steps(user) if not step.done), None)
    if step is None or not step.actions:
        return said
    address, label = step.actions[0]
    return format_html('{} {} <a class="alert-link" href="{}">{}</a>', said, _("The next step:"), address, label)

"""Account mail: the letters Vestnik itself writes to the people who sign in (confirmations, password resets, notices).

`mail.EmailBackend` stores them, the dispatcher hands them over.
"""

from __future__ import annotations

from datetime import timedelta

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from vestnik import fields

GIVE_UP_AFTER = timedelta(days=3)
"""How long after a letter was written it is still handed over: later its links are dead."""

SUBJECT_LENGTH = 250

COUNTED = timedelta(days=1)
"""How long a letter counts among those to its address."""


class AccountLetterState(models.TextChoices):
    """How far a letter is; sent, failed and expired are ends."""

    QUEUED = "queued", _("queued")
    SENDING = "sending", _("sending")
    SENT = "sent", _("sent")
    FAILED = "failed", _("failed")
    EXPIRED = "expired", _("expired")


class AccountLetter(models.Model):
    """One letter to one recipient. The row stays as a record; the content goes as soon as the letter has an end."""

    State = AccountLetterState

    recipient = fields.AddressField(_("recipient"))
    # `recipient_key` of the address, while the letter counts: the address itself may be erased when the letter ends.
    recipient_key = models.BigIntegerField(null=True, editable=False)
    subject = models.CharField(_("subject"), max_length=SUBJECT_LENGTH, blank=True)
    content = models.BinaryField()  # the message (RFC 5322), 7-bit, with CRLF line ends; it holds secret links
    key = models.CharField(_("key"), max_length=300, unique=True, db_collation="C")  # Message-ID without its brackets
    state = models.CharField(_("state"), max_length=7, choices=AccountLetterState.choices, db_default="queued")
    due_at = models.DateTimeField(_("due at"), null=True, db_default=Now())
    claimed_at = models.DateTimeField(_("claimed at"), null=True)
    claim = models.IntegerField(_("claims"), db_default=0)  # grows with every claim; a receipt names its own
    attempts = models.SmallIntegerField(_("attempts"), db_default=0)
    code = models.SmallIntegerField(_("code"), null=True)
    answer = models.CharField(_("answer"), max_length=1100, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    settled_at = models.DateTimeField(_("settled at"), null=True)

    class Meta:
        verbose_name = _("account letter")
        verbose_name_plural = _("account letters")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=AccountLetterState.values), name="account_letter_state"),
            models.CheckConstraint(
                condition=Q(state="queued", due_at__isnull=False) | (~Q(state="queued") & Q(due_at=None)),
                name="account_letter_queued_is_due_sometime",
            ),
            models.CheckConstraint(
                condition=Q(state="sending", claimed_at__isnull=False) | (~Q(state="sending") & Q(claimed_at=None)),
                name="account_letter_sending_is_claimed",
            ),
            # Whoever reads the database later finds no link that still opens an account.
            models.CheckConstraint(
                condition=Q(state__in=["queued", "sending"], settled_at=None)
                | (~Q(state__in=["queued", "sending"]) & Q(content=b"", settled_at__isnull=False)),
                name="account_letter_ends_without_content",
            ),
        ]
        indexes = [
            # The next letter to claim, and whether one is due.
            models.Index(fields=["due_at", "id"], name="account_letter_queued", condition=Q(state="queued")),
            # The tick: what was queued for too long. Like the others a short one, whatever the number of records.
            models.Index(fields=["created_at"], name="account_letter_waiting", condition=Q(state="queued")),
            # The tick: what a process that died had in hand.
            models.Index(fields=["claimed_at"], name="account_letter_in_hand", condition=Q(state="sending")),
            # How many letters an address had lately.
            models.Index(
                fields=["recipient_key", "-id"],
                name="account_letter_counted",
                condition=Q(recipient_key__isnull=False),
            ),
            # The admin's search: what became of the letters to this person.
            models.Index(fields=["recipient", "id"], name="account_letter_recipient"),
            # Rate limits after Redis forgot: what was handed over in the last day, and what has no end yet.
            BrinIndex(fields=["settled_at"], name="account_letter_lately", pages_per_range=8),
        ]

    def __str__(self) -> str:
        return f"{self.recipient} ({self.state})"


def recipient_key(address: str) -> int:
    """Return a keyed hash of the address: it tells whether two letters went to one address, and not to which."""
    return int.from_bytes(salted_hmac(__name__, address, algorithm="sha256").digest()[:8], signed=True)

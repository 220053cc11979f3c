"""The ledger: what was sent to whom, when, and what became of it. One row a letter, one row a try.

Only the dispatcher's statements and the verbs of `verbs.py` write here; nothing here is ever deleted, and nothing here
points at what a person can delete but by plain values.
"""

from __future__ import annotations

from datetime import UTC, date

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from vestnik import addresses

# Why nothing is sent (`Mailing.hold`, `Run.reason`), as it is stored; pages translate it, as a "reason".
REASONS = (
    pgettext_lazy("reason", "paused"),
    pgettext_lazy("reason", "switched off"),
    pgettext_lazy("reason", "paused, switched off or blocked"),
    pgettext_lazy("reason", "owner blocked"),
    pgettext_lazy("reason", "owner not confirmed"),
    pgettext_lazy("reason", "the service was not running"),
    pgettext_lazy("reason", "the audience is empty"),
    pgettext_lazy("reason", "everybody in the audience is on the suppression list"),
)


class RunState(models.TextChoices):
    """How far a run is; only an open one has letters to hand over."""

    OPEN = "open", pgettext_lazy("run", "running")
    FINISHED = "finished", _("finished")
    CANCELLED = "cancelled", pgettext_lazy("run", "cancelled")
    MISSED = "missed", _("missed")
    SKIPPED = "skipped", _("skipped")


class DeliveryState(models.TextChoices):
    """How far a letter is; all but queued and sending are ends."""

    QUEUED = "queued", _("queued")
    SENDING = "sending", _("sending")
    SENT = "sent", _("sent")
    FAILED = "failed", _("failed")
    EXPIRED = "expired", _("expired")
    CANCELLED = "cancelled", _("cancelled")
    UNKNOWN = "unknown", _("unknown")


class MailingKind(models.TextChoices):
    """What its letters are to who gets them."""

    MAILING = "mailing", _("mailing: whoever gets it can unsubscribe")
    SERVICE = "service", _("service letters (invoices and the like): also sent to people who unsubscribed")


class AttemptOutcome(models.TextChoices):
    """What one try came to."""

    ACCEPTED = "accepted", _("accepted")
    TEMPORARY = "temporary", _("temporary failure")
    PERMANENT = "permanent", _("permanent failure")
    UNKNOWN = "unknown", _("unknown")


class EventKind(models.TextChoices):
    """What came back of a letter after it was handed over."""

    BOUNCED = "bounced", pgettext_lazy("letter", "bounced")
    COMPLAINED = "complained", pgettext_lazy("letter", "complaint")


class BounceKind(models.TextChoices):
    """What a bounce says of the address."""

    HARD = "hard", _("hard bounce: there is no such mailbox")
    SOFT = "soft", _("soft bounce: the mailbox did not take it")
    POLICY = "policy", _("refused for what the letter or its sender is")


class Worker(models.Model):
    """A process that hands letters over, alive as long as it beats."""

    name = models.CharField(_("name"), max_length=200)
    provider = models.CharField(_("external service"), max_length=200)
    started_at = models.DateTimeField(_("started at"), db_default=Now())
    beat_at = models.DateTimeField(_("last heartbeat"), db_default=Now())
    ended_at = models.DateTimeField(_("ended at"), null=True)
    died = models.BooleanField(_("died"), db_default=False)

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        indexes = [models.Index(fields=["beat_at"], name="worker_living", condition=Q(ended_at=None))]

    def __str__(self) -> str:
        return self.name


class Run(models.Model):
    """One occurrence of a mailing, or one "send now", with the message as it was at launch."""

    State = RunState

    mailing = models.ForeignKey("Mailing", models.SET_NULL, null=True, related_name="runs", verbose_name=_("mailing"))
    owner_id = models.BigIntegerField(_("owner"))  # a plain value: the owner may be deleted
    occurrence = models.DateTimeField(_("planned for"), null=True)  # None: sent by hand
    request_id = models.UUIDField(_("request"), null=True)  # of a "send now": a double click makes one run
    # The run whose letters this one tries again.
    again_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="+", verbose_name=_("again of"))
    state = models.CharField(_("state"), max_length=9, choices=RunState.choices)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    opened_at = models.DateTimeField(_("opened at"), db_default=Now())
    filled_at = models.DateTimeField(_("letters written at"), null=True)  # None: the audience was not taken yet
    window_end = models.DateTimeField(_("to be over by"))
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True)
    finished_at = models.DateTimeField(_("over since"), null=True)
    served_at = models.DateTimeField(_("last turn at"), null=True)  # when a lane last took its turn
    total = models.IntegerField(_("letters"), db_default=0)
    # When its refused addresses were suppressed those of before are not looked at.
    refusals_seen_at = models.DateTimeField(_("refusals looked at"), null=True, db_default=Now())
    # Addresses that would have been, and are too many to be believed: their owner is asked. LIFTED: they said yes.
    refused_asked = models.IntegerField(_("refused addresses in question"), db_default=0)
    left_out = models.JSONField(_("left out"), default=dict, db_default={})  # how many of the audience, by reason

    kind = models.CharField(_("kind"), max_length=8, choices=MailingKind.choices, db_default="mailing")
    key = models.CharField(max_length=16, blank=True)  # makes Message-IDs unlike those of any other installation
    sender = models.CharField(_("from"), max_length=254, blank=True)
    sender_name = models.CharField(_("sender's name"), max_length=200, blank=True)
    reply_to = models.CharField(_("reply to"), max_length=254, blank=True)
    subject = models.CharField(_("subject"), max_length=250, blank=True)
    html = models.TextField(_("HTML"), blank=True)
    text = models.TextField(_("plain text"), blank=True)

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = [
            models.UniqueConstraint(
                fields=["mailing", "occurrence"], name="run_once_per_occurrence", condition=Q(occurrence__isnull=False)
            ),
            models.UniqueConstraint(fields=["mailing"], name="run_open_once_per_mailing", condition=Q(state="open")),
            models.UniqueConstraint(
                fields=["mailing", "request_id"], name="run_once_per_request", condition=Q(request_id__isnull=False)
            ),
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="run_state"),
            models.CheckConstraint(
                condition=Q(state="open", finished_at=None) | (~Q(state="open") & Q(finished_at__isnull=False)),
                name="run_over_since",
            ),
        ]
        indexes = [
            # The lanes: which of an owner's runs waited longest; the tick: what is open.
            models.Index(fields=["owner_id", "served_at"], name="run_open", condition=Q(state="open")),
            # The tick: in which run refused addresses are still to be looked for.
            models.Index(
                fields=["id"], name="run_refusals_unseen", condition=Q(refusals_seen_at=None) & ~Q(state="open")
            ),
            # An owner's runs of a period: reports.
            models.Index(fields=["owner_id", "opened_at"], name="run_by_owner"),
        ]

    @property
    def day(self) -> date:
        """Its day in UTC, by which the events of its letters are kept."""
        return self.opened_at.astimezone(UTC).date()

    def __str__(self) -> str:
        return f"{self.subject or self.state} ({self.occurrence or self.opened_at:%Y-%m-%d %H:%M})"


class Delivery(models.Model):
    """One client's letter in one run. The client is a plain number and the address a copy: clients can be deleted."""

    State = DeliveryState

    run = models.ForeignKey(Run, models.PROTECT, related_name="deliveries", db_index=False, verbose_name=_("run"))
    client_id = models.BigIntegerField(_("client's number"))
    address = models.CharField(_("address"), max_length=254, db_collation="C")
    state = models.CharField(_("state"), max_length=9, choices=DeliveryState.choices, db_default="queued")
    due_at = models.DateTimeField(_("due at"), null=True)
    worker = models.ForeignKey(
        Worker, models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("worker")
    )
    claim = models.IntegerField(_("claims"), db_default=0)  # grows with every claim; a receipt names its own
    attempts = models.SmallIntegerField(_("charged attempts"), db_default=0)
    recoveries = models.SmallIntegerField(_("recoveries"), db_default=0)
    settled_at = models.DateTimeField(_("settled at"), null=True)
    reason = models.CharField(_("reason"), max_length=12, blank=True, db_default="")  # a suppression's, if cancelled
    dismissed_at = models.DateTimeField(_("dismissed at"), null=True)  # its owner lets it rest

    class Meta:
        verbose_name = _("letter")
        verbose_name_plural = _("letters")
        constraints = [
            models.UniqueConstraint(fields=["run", "client_id"], name="delivery_once_per_client"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="delivery_state"),
            models.CheckConstraint(
                condition=Q(state="sending", worker__isnull=False) | (~Q(state="sending") & Q(worker=None)),
                name="delivery_in_hand_of_a_worker",
            ),
            models.CheckConstraint(
                condition=~Q(state="queued") | Q(due_at__isnull=False), name="delivery_queued_is_due_sometime"
            ),
        ]
        indexes = [
            # The claim walks it from a lower bound; so do "what is due when" and "is anything left to send".
            models.Index(fields=["run", "due_at", "id"], name="delivery_queued", condition=Q(state="queued")),
            # What is in hand: at most some hundred entries. Finishing a run asks by run, recovery by worker.
            models.Index(fields=["run", "worker"], name="delivery_in_hand", condition=Q(state="sending")),
            # The journal narrowed to one of these states, why letters failed, "try again": what was sent is not walked.
            models.Index(
                fields=["run", "state", "client_id"],
                name="delivery_ended_unsent",
                condition=Q(state__in=["failed", "unknown", "expired", "cancelled"]),
            ),
            # Dead letters, run by run; which runs have any. What was dismissed is not walked.
            models.Index(
                fields=["run", "client_id"],
                name="delivery_dead",
                condition=Q(state__in=["failed", "unknown"], dismissed_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.address} ({self.state})"


def message_id(delivery_id: int, key: str, sender: str) -> str:
    """Return the Message-ID, without brackets, of a letter of the run with this `key` and `sender`."""
    return f"{delivery_id}.{key}@{addresses.domain(sender)}"


class Attempt(models.Model):
    """One try to hand a letter over, and what came of it."""

    Outcome = AttemptOutcome

    delivery = models.ForeignKey(
        Delivery, models.PROTECT, related_name="tries", db_index=False, verbose_name=_("letter")
    )
    claim = models.IntegerField(_("claim"))
    outcome = models.CharField(_("outcome"), max_length=9, choices=AttemptOutcome.choices)
    charged = models.BooleanField(_("charged"))
    code = models.SmallIntegerField(_("code"), null=True)
    answer = models.CharField(_("answer"), max_length=1100, blank=True)
    began_at = models.DateTimeField(_("began at"))
    duration = models.FloatField(_("seconds"))
    worker = models.ForeignKey(Worker, models.PROTECT, related_name="+", db_index=False, verbose_name=_("worker"))

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [
            # A receipt that is settled twice (the answer to the first settlement was lost) is written once.
            models.UniqueConstraint(fields=["delivery", "claim"], name="attempt_once_per_claim"),
            models.CheckConstraint(condition=Q(outcome__in=AttemptOutcome.values), name="attempt_outcome"),
        ]
        indexes = [
            # Rate limits after Redis forgot: what was handed over in the last day. Rows come in the order of time, or
            # nearly, so a summary of each range of pages is enough, and costs an insert nothing.
            BrinIndex(fields=["began_at"], name="attempt_lately", pages_per_range=32),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.code or ''}".strip()


class DeliveryEvent(models.Model):
    """What came back of a letter: at most once of each kind, however often and by how many ways it is reported.

    Beside the letter's state, never instead: `sent` means that the service accepted it, and stays true. The key begins
    with the day of the run, so that the table can be cut by months; nothing in it points anywhere but by plain values.
    """

    Kind = EventKind
    Bounce = BounceKind

    pk = models.CompositePrimaryKey("day", "delivery_id", "kind")
    day = models.DateField(_("day of the run"))  # in UTC
    delivery_id = models.BigIntegerField(_("letter"))
    kind = models.CharField(_("kind"), max_length=10, choices=EventKind.choices)
    run_id = models.BigIntegerField(_("run"))
    client_id = models.BigIntegerField(_("client's number"))
    bounce = models.CharField(_("the bounce"), max_length=8, choices=BounceKind.choices, blank=True)
    status = models.CharField(_("status code"), max_length=12, blank=True)  # RFC 3463
    answer = models.CharField(_("what it said"), max_length=1100, blank=True)  # it may quote the address
    dead = models.BooleanField(_("the address is dead"), db_default=False)  # as this shows, with those before it
    source = models.CharField(_("reported by"), max_length=60)
    at = models.DateTimeField(_("reported at"), db_default=Now())

    class Meta:
        verbose_name = _("what came back")
        verbose_name_plural = _("what came back")
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=EventKind.values), name="event_kind"),
            models.CheckConstraint(
                condition=Q(kind="bounced", bounce__in=BounceKind.values) | Q(kind="complained", bounce=""),
                name="event_bounce",
            ),
        ]
        indexes = [
            # The journal narrowed to what bounced; whether a client's letters of earlier runs did.
            models.Index(fields=["run_id", "kind", "client_id"], name="event_by_run"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.status}".strip()


class Tally(models.Model):
    """How many of a run's letters ended how in a quarter of an hour: a row for each worker (0: none), so that none gets
    hot.

    A letter whose end is revised (it is tried again, or a late receipt tells otherwise) is counted out, in the quarter
    in which it was counted.
    """

    run = models.ForeignKey(Run, models.PROTECT, related_name="tallies", db_index=False, verbose_name=_("run"))
    worker_id = models.BigIntegerField(_("worker"))
    hour = models.DateTimeField(_("hour"))  # when its quarter began, by PostgreSQL's clock (0035 says why)
    sent = models.IntegerField(_("sent"), db_default=0)
    failed = models.IntegerField(_("failed"), db_default=0)
    expired = models.IntegerField(_("expired"), db_default=0)
    cancelled = models.IntegerField(_("cancelled"), db_default=0)
    unknown = models.IntegerField(_("unknown"), db_default=0)
    attempts = models.IntegerField(_("attempts"), db_default=0)
    # Of the letters that ended in this quarter: what came back of them, whenever it did.
    bounced = models.IntegerField(pgettext_lazy("letters", "bounced"), db_default=0)
    complained = models.IntegerField(pgettext_lazy("letters", "complaints"), db_default=0)
    dead = models.IntegerField(_("addresses that are dead"), db_default=0)  # as bounces show
    # How long after their run's letters were written the sent ones were: the sum of the seconds, and of how many it was
    # at most so long. Each of the counts includes the ones before it.
    seconds = models.FloatField(_("seconds"), db_default=0.0)
    within_second = models.IntegerField(_("within a second"), db_default=0)
    within_minute = models.IntegerField(_("within a minute"), db_default=0)
    within_hour = models.IntegerField(_("within an hour"), db_default=0)

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")
        constraints = [models.UniqueConstraint(fields=["run", "worker_id", "hour"], name="tally_once_per_hour")]
        indexes = [models.Index(fields=["hour"], name="tally_by_hour")]  # the panel: what everybody sent today

    def __str__(self) -> str:
        return f"{self.run_id}/{self.worker_id} {self.hour:%Y-%m-%d %H:%M}"


class LinkKey(models.Model):
    """A key by which links in letters are signed. The newest signs; the others are good as long as they are here."""

    id = models.PositiveSmallIntegerField(_("version"), primary_key=True)
    key = models.BinaryField()
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("link key")
        verbose_name_plural = _("link keys")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.pk)


class DeadLetterReport(models.Model):
    """A report to operators that letters of this run died for this reason. Once, whatever their number."""

    run = models.ForeignKey(Run, models.PROTECT, related_name="+", db_index=False, verbose_name=_("run"))
    reason = models.CharField(_("reason"), max_length=200)
    reported_at = models.DateTimeField(_("reported at"), db_default=Now())

    class Meta:
        verbose_name = _("report of dead letters")
        verbose_name_plural = _("reports of dead letters")
        constraints = [models.UniqueConstraint(fields=["run", "reason"], name="dead_letters_reported_once")]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.reason}"

"""Messages and mailings: what a person writes and sets up. What became of them is in `ledger/models.py`."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Self

from django.conf import settings
from django.contrib.contenttypes.fields import GenericRelation
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from vestnik import access, fields
from vestnik.clients import attributes
from vestnik.clients.models import Client, ClientList
from vestnik.mailings import calendar, rendering
from vestnik.mailings.ledger.models import Attempt, Delivery, LinkKey, MailingKind, Run, Tally, Worker
from vestnik.senders import standing
from vestnik.senders.models import Sender

__all__ = ["Attempt", "Delivery", "LinkKey", "Mailing", "Message", "Run", "Tally", "Worker"]


LONGEST_TEXT = 1_000_000
"""Characters of a message's text or HTML: what is longer belongs on a web page."""
LONGEST_SUBJECT = 250

FIRST_YEAR, LAST_YEAR = 2000, 2199
"""Years in which a mailing starts and ends: pages can add to and take from its times within the calendar."""


class Message(models.Model):
    """A subject and a body, to be sent by any number of mailings."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="messages", verbose_name=_("owner")
    )
    subject = fields.one_line(_("subject"), LONGEST_SUBJECT)
    html = models.TextField(_("HTML"), blank=True, validators=[fields.validate_text])
    text = models.TextField(_("plain text"), blank=True, validators=[fields.validate_text])
    language = models.CharField(
        _("language"),
        max_length=8,
        choices=[("en", "English"), ("ru", "Русский")],
        default="en",
        db_default="en",
        help_text=_("The language of the unsubscribe link that Vestnik adds to the letter."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)
    shares = GenericRelation("accounts.Share")

    objects = access.VisibleQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")

    def __str__(self) -> str:
        return str(self.subject)

    def clean(self) -> None:
        if not self.html.strip() and not self.text.strip():
            raise ValidationError({"text": _("A message needs a text, plain or HTML.")})
        self.check_texts()

    def check_texts(self) -> None:
        """Raise ValidationError, keyed by field, for texts that cannot be sent as they are."""
        faults = {name: found for name in ("subject", "html", "text") if (found := self._faults(name))}
        if not faults and (size := self._least_octets()) > settings.MAX_LETTER_BYTES:
            said = _("As it goes over the wire, the letter would have at least %(size)s bytes, and may have %(limit)s.")
            sizes = {"size": f"{size:,}", "limit": f"{settings.MAX_LETTER_BYTES:,}"}
            faults["html" if len(self.html) > len(self.text) else "text"] = [ValidationError(said, params=sizes)]
        if faults:
            raise ValidationError(faults)

    def placeholders(self, without_default: bool = False) -> set[str]:
        """Return the names in its texts, as placeholders write them; or only those with no default in some place."""
        found = rendering.without_default if without_default else rendering.placeholders
        return found(self.subject) | found(self.text) | found(self.html, html=True)

    def doubts(self) -> list[rendering.Fault]:
        """Return what is sent as it stands, and may have been meant for a placeholder."""
        spellings = cache(lambda: attributes.spellings(self.owner_id) if self.owner_id else {})
        texts = ((self.subject, False), (self.text, False), (self.html, True))
        return [doubt for text, html in texts for doubt in rendering.doubts(text, html, spellings)]

    def _least_octets(self) -> int:
        """Return how many bytes a letter of it has at least, whoever gets it."""
        content = rendering.Content(self.subject, self.html, self.text, settings.MAIL_FROM, "", "")
        return rendering.CompiledMessage(content).least_octets()

    def _faults(self, name: str) -> list[ValidationError]:
        """Return what is wrong with one of the three texts; one that is too long is not looked at any further."""
        written = getattr(self, name)
        longest = LONGEST_SUBJECT if name == "subject" else LONGEST_TEXT
        if len(written) > longest:
            return [ValidationError(_("At most %(limit)d characters can be sent."), params={"limit": longest})]
        try:
            rendering.check(written, html=name == "html")
        except rendering.TemplateError as error:
            return [ValidationError("%(said)s", params={"said": said}) for said in rendering.sentences(error.faults)]
        except rendering.TooManyPlaceholders as error:
            return [ValidationError("%(said)s", params={"said": str(error)})]
        return []


class MailingQuerySet(access.VisibleQuerySet["Mailing"]):
    """Mailings, narrowed by what the dispatcher and the pages ask."""

    def due(self, until: datetime | None = None) -> Self:
        """Return those whose next occurrence has come, by the database's clock (or will have by `until`), in order."""
        return self.filter(next_at__lte=until or Now()).order_by("next_at", "pk")

    def held(self) -> Self:
        """Return those that may not launch now: paused, switched off, or their owner is blocked or not confirmed."""
        return self.filter(
            Q(paused_at__isnull=False)
            | Q(switched_off_at__isnull=False)
            | Q(owner__is_active=False)
            | Q(owner__confirmed_at=None)
        )

    def active(self) -> Self:
        """Return those that run, and are neither paused nor switched off."""
        runs = Run.objects.filter(mailing=OuterRef("pk"))
        under_way = Exists(runs.filter(state=Run.State.OPEN)) | (Q(next_at__isnull=False) & Exists(runs))
        return self.filter(under_way, paused_at=None, switched_off_at=None)

    def with_status(self) -> Self:
        """Annotate each with `status`, one of Mailing.Status."""
        runs = Run.objects.filter(mailing=OuterRef("pk"))
        return self.annotate(
            status=models.Case(
                models.When(Exists(runs.filter(state=Run.State.OPEN)), then=models.Value("running")),
                models.When(next_at=None, then=models.Value("completed")),
                models.When(Exists(runs), then=models.Value("running")),
                default=models.Value("created"),
                output_field=models.CharField(),
            )
        )


class Mailing(models.Model):
    """The settings: which message goes to whom, from when until when, how often."""

    class Status(models.TextChoices):
        CREATED = "created", _("scheduled")
        RUNNING = "running", _("running")
        COMPLETED = "completed", _("completed")

    Kind = MailingKind

    class Periodicity(models.TextChoices):
        ONCE = "once", _("once")
        DAILY = "daily", _("daily")
        WEEKLY = "weekly", _("weekly")
        MONTHLY = "monthly", _("monthly")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="mailings", verbose_name=_("owner")
    )
    name = fields.one_line(_("name"), 200)
    kind = models.CharField(
        _("kind"), max_length=8, choices=MailingKind.choices, default=MailingKind.MAILING, db_default="mailing"
    )
    # RESTRICT, not PROTECT: an account that is deleted takes both along.
    message = models.ForeignKey(Message, models.RESTRICT, related_name="mailings", verbose_name=_("message"))
    lists = models.ManyToManyField(ClientList, related_name="mailings", blank=True, verbose_name=_("lists"))
    clients = models.ManyToManyField(Client, related_name="mailings", blank=True, verbose_name=_("single clients"))
    sender = models.ForeignKey(
        Sender,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="mailings",
        verbose_name=pgettext_lazy("sender", "From"),
    )
    sender_name = fields.one_line(
        _("sender's name"), 200, blank=True, help_text=_("Your own name where this is left empty.")
    )
    start = models.DateTimeField(_("start"))
    # Seconds by which the clocks of the start's day moved it: later occurrences are at the time that was meant.
    start_moved = models.PositiveIntegerField(db_default=0, default=0, editable=False)
    end = models.DateTimeField(_("end"))
    periodicity = models.CharField(
        _("periodicity"), max_length=8, choices=Periodicity.choices, default=Periodicity.ONCE
    )
    time_zone = fields.time_zone_field(_("time zone"), default="UTC")
    next_at = models.DateTimeField(_("next occurrence"), null=True, blank=True, editable=False)
    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True, editable=False)
    switched_off_at = models.DateTimeField(_("switched off at"), null=True, blank=True, editable=False)
    switched_off_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("switched off by"),
    )
    switched_off_reason = models.CharField(_("switched off because"), max_length=1000, blank=True, editable=False)
    released_at = models.DateTimeField(null=True, blank=True, editable=False)  # when a pause or switch-off last ended
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)
    shares = GenericRelation("accounts.Share")

    objects = MailingQuerySet.as_manager()

    class Meta:
        verbose_name = _("mailing")
        verbose_name_plural = _("mailings")
        permissions = [
            ("switch_mailing", _("Can switch a mailing off and on")),
            ("write_service_letters", _("Can send service letters, from which nobody can unsubscribe")),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(end__gt=F("start")), name="mailing_ends_after_it_starts"),
            models.CheckConstraint(
                condition=Q(periodicity__in=["once", "daily", "weekly", "monthly"]), name="mailing_periodicity"
            ),
        ]
        indexes = [
            # The tick: what falls due. Mailings that are over are not in it.
            models.Index(fields=["next_at"], name="mailing_due", condition=Q(next_at__isnull=False)),
            # An owner's page of mailings, the newest first.
            models.Index(fields=["owner", "-id"], name="mailing_by_owner"),
        ]

    def __str__(self) -> str:
        return str(self.name)

    @property
    def comes_from(self) -> standing.From:
        """In whose name its letters would go out now."""
        return standing.comes_from(self.owner, self.sender, self.sender_name)

    def clean(self) -> None:
        for name in ("start", "end"):
            moment = getattr(self, name)
            if moment and not FIRST_YEAR <= moment.astimezone(UTC).year <= LAST_YEAR:
                raise ValidationError(
                    {name: _("A year from %(first)d to %(last)d is wanted.") % {"first": FIRST_YEAR, "last": LAST_YEAR}}
                )
        if self.start and self.end and self.end <= self.start:
            raise ValidationError({"end": _("The end must be after the start.")})

    @property
    def schedule(self) -> calendar.Schedule:
        """When it runs, as `calendar` reads it."""
        return calendar.Schedule(
            start=self.start,
            end=self.end,
            periodicity=calendar.Periodicity(self.periodicity),
            zone=zoneinfo.ZoneInfo(self.time_zone),
            moved=timedelta(seconds=self.start_moved),
        )

    def on_the_wall(self) -> dict[str, datetime]:
        """Return "start" and "end" as the clocks of its zone show them, and as they were given: without a zone."""
        schedule = self.schedule
        return {"start": schedule.wall_start, "end": schedule.end.astimezone(schedule.zone).replace(tzinfo=None)}

    def begin_at(self, moment: calendar.Moment) -> None:
        """Set its start to what a wall-clock time means (`calendar.of_wall`)."""
        self.start, self.start_moved = moment.instant, int(moment.moved.total_seconds())

    @property
    def hold(self) -> str:
        """Why nothing of this mailing may go out now; empty when it may. The first of `holds`."""
        return next(iter(self.holds), "")

    @property
    def shows_pause(self) -> bool:
        """Whether to show a pause beside the mailing's status (of `with_status`): not where it is over."""
        return self.paused_at is not None and getattr(self, "status", "") != Mailing.Status.COMPLETED

    @property
    def holds(self) -> tuple[str, ...]:
        """All that would have to end before anything of this mailing may go out; first what its owner can do least
        about.
        """
        found = {
            "switched off": self.switched_off_at is not None,
            "owner blocked": not self.owner.is_active,
            "owner not confirmed": not self.owner.is_confirmed,
            "paused": self.paused_at is not None,
        }
        return tuple(hold for hold, is_so in found.items() if is_so)


class MessageUserObjectPermission(UserObjectPermissionBase):
    """guardian's direct table: what a user may do with a message."""

    content_object = models.ForeignKey(Message, models.CASCADE)


class MessageGroupObjectPermission(GroupObjectPermissionBase):
    """guardian's direct table: what a group may do with a message."""

    content_object = models.ForeignKey(Message, models.CASCADE)


class MailingUserObjectPermission(UserObjectPermissionBase):
    """guardian's direct table: what a user may do with a mailing."""

    content_object = models.ForeignKey(Mailing, models.CASCADE)


class MailingGroupObjectPermission(GroupObjectPermissionBase):
    """guardian's direct table: what a group may do with a mailing."""

    content_object = models.ForeignKey(Mailing, models.CASCADE)

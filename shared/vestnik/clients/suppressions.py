"""Addresses that are not written to: of one owner, or of the whole installation; and why.

A suppression is about an address, not about a client: it outlives the client, and no import or new client revives it.
What a person did (unsubscribed, complained) only that person takes back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from vestnik import access, fields


class SuppressionReason(models.TextChoices):
    """Why an address is not written to."""

    UNSUBSCRIBED = "unsubscribed", pgettext_lazy("suppression", "unsubscribed")
    COMPLAINED = "complained", pgettext_lazy("suppression", "complained of spam")
    BOUNCED = "bounced", pgettext_lazy("suppression", "letters came back")
    REFUSED = "refused", pgettext_lazy("suppression", "refused by its server")
    BY_HAND = "by hand", pgettext_lazy("suppression", "added by hand")
    IMPORTED = "imported", pgettext_lazy("suppression", "as told by another service")


OF_THE_PERSON = (SuppressionReason.UNSUBSCRIBED, SuppressionReason.COMPLAINED)
"""What only the person takes back."""
OF_MAILINGS_ALONE = (SuppressionReason.UNSUBSCRIBED, SuppressionReason.IMPORTED)
"""What does not keep service letters (an invoice) from the person."""


class Suppression(models.Model):
    """An address that gets no letters of an owner's; without an owner, nobody's. With a list: none by that list."""

    Reason = SuppressionReason

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="suppressions",
        db_index=False,
        verbose_name=gettext_lazy("owner"),
    )
    address = fields.AddressField(gettext_lazy("e-mail"))
    client_list = models.ForeignKey(
        "clients.ClientList",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="suppressions",
        verbose_name=gettext_lazy("list"),
    )
    reason = models.CharField(gettext_lazy("reason"), max_length=12, choices=SuppressionReason.choices)
    by_person = models.BooleanField(gettext_lazy("by the person"), db_default=False)  # by the reason; for uniqueness
    created_at = models.DateTimeField(gettext_lazy("since"), db_default=Now())
    lifted_at = models.DateTimeField(gettext_lazy("lifted at"), null=True, blank=True)
    delivery_id = models.BigIntegerField(gettext_lazy("letter"), null=True, blank=True)  # by which it came to this

    objects = access.VisibleQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("suppressed address")
        verbose_name_plural = gettext_lazy("suppressed addresses")
        constraints = [
            # Also what launches and claims look up: an address, whosever it is.
            models.UniqueConstraint(
                fields=["address", "owner", "client_list", "by_person"], name="suppression_once", nulls_distinct=False
            ),
            models.CheckConstraint(condition=Q(reason__in=SuppressionReason.values), name="suppression_reason"),
            models.CheckConstraint(
                condition=Q(client_list=None) | Q(owner__isnull=False), name="suppression_of_a_list_has_an_owner"
            ),
        ]
        indexes = [
            # An owner's page, the newest first; how many of an audience are left out; an owner who is erased. None but
            # the one above has the address: of two, either might seem to serve (docs/decisions/0037).
            models.Index(fields=["owner", "-id"], name="suppression_by_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.address} ({self.reason})"

    @property
    def can_be_lifted(self) -> bool:
        """Whether its owner may lift it: what the person did stays."""
        return not self.by_person


def of_address(owner_id: int, address: str) -> list[Suppression]:
    """Return what keeps letters of the owner's from this normalised address now: for all of them first, then by list.

    The address alone is looked up: whatever else is known of it, that index serves.
    """
    known = Suppression.objects.filter(address=address).select_related("client_list").order_by("pk")
    standing = [each for each in known if each.owner_id in (owner_id, None) and each.lifted_at is None]
    return sorted(standing, key=lambda each: (each.client_list_id is not None, each.by_person, each.pk))


def lifted_since_sql(address: str, owner: str, since: str) -> str:
    """Return a condition: whether the owner has said since then that the address is to be written to. All are SQL."""
    return f"""EXISTS (
        SELECT FROM (SELECT * FROM clients_suppression WHERE address = {address} OFFSET 0) AS known
        WHERE known.owner_id = {owner} AND known.client_list_id IS NULL AND NOT known.by_person
          AND known.lifted_at > {since} OFFSET 0
    )"""


# What the person did, and what others did, are rows of their own: neither takes the other's place. What stands already
# stays as it is; one that was lifted stands again.
SUPPRESS = """
    INSERT INTO clients_suppression AS known (address, owner_id, client_list_id, by_person, reason, delivery_id)
    SELECT address, %(owner)s, list_id, %(by_person)s, %(reason)s, delivery_id
    FROM (
        SELECT DISTINCT ON (address) address, delivery_id
        FROM unnest(%(addresses)s::text[], %(deliveries)s::bigint[]) AS it (address, delivery_id) ORDER BY address
    ) given, unnest(%(lists)s::bigint[]) AS list (list_id)
    ON CONFLICT (address, owner_id, client_list_id, by_person) DO UPDATE SET
        reason = excluded.reason, created_at = statement_timestamp(), lifted_at = NULL,
        delivery_id = excluded.delivery_id
        WHERE known.lifted_at IS NOT NULL OR excluded.reason = 'complained' AND known.reason <> 'complained'
"""


def suppress(
    owner_id: int | None,
    addresses: Collection[str] | Mapping[str, int],
    reason: SuppressionReason,
    *,
    lists: Iterable[int] | None = None,
) -> int:
    """Write these normalised addresses down as suppressed; return how many were not so before.

    A mapping names for each the letter by which it came to that. With `lists`, ids of the owner's lists, by these
    alone.
    """
    by: list[int | None] = [None]
    if lists is not None:
        by = [*lists]
    parameters = {
        "owner": owner_id,
        "addresses": list(addresses),
        "deliveries": list(addresses.values()) if isinstance(addresses, Mapping) else [None] * len(addresses),
        "reason": reason.value,
        "lists": by,
        "by_person": reason in OF_THE_PERSON,
    }
    with connection.cursor() as cursor:
        cursor.execute(SUPPRESS, parameters)
        return int(cursor.rowcount)


# Of a file of clients that is being imported (importing.py).
SUPPRESS_INCOMING = """
    INSERT INTO clients_suppression AS known (address, owner_id, by_person, reason)
    SELECT email, %(owner)s, false, 'imported' FROM incoming_clients WHERE stopped ORDER BY email
    ON CONFLICT (address, owner_id, client_list_id, by_person) DO UPDATE SET
        reason = excluded.reason, created_at = statement_timestamp(), lifted_at = NULL, delivery_id = NULL
        WHERE known.lifted_at IS NOT NULL
"""


def suppress_incoming(cursor: Any, owner_id: int) -> int:
    """Suppress the addresses that the file being imported says so of; return how many were not so before."""
    cursor.execute(SUPPRESS_INCOMING, {"owner": owner_id})
    return int(cursor.rowcount)


def lift(suppressions: models.QuerySet[Suppression]) -> int:
    """Let these addresses be written to again; return how many that are.

    Raises ValidationError if one of them was suppressed by the person's own act; nothing is lifted then.
    """
    standing = suppressions.filter(lifted_at=None)
    if standing.filter(by_person=True).exists():
        raise ValidationError(
            _("People who unsubscribed or complained can be written to again only if they ask for it themselves.")
        )
    return standing.filter(by_person=False).update(lifted_at=Now())


def lift_for_the_person(owner_id: int, address: str, lists: Collection[int] = ()) -> int:
    """Take back what the person with this address did: all of it that is of no list, and that of these lists."""
    theirs = Suppression.objects.filter(owner=owner_id, address=address, lifted_at=None, by_person=True)
    return theirs.filter(Q(client_list=None) | Q(client_list__in=lists)).update(lifted_at=Now())

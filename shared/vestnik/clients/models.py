"""Who gets letters: one owner's clients, and the lists they are on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.contenttypes.fields import GenericRelation
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from vestnik import access, addresses, fields
from vestnik.clients.attributes import AttributeName
from vestnik.clients.attributes import validate as validate_attributes
from vestnik.clients.suppressions import Suppression
from vestnik.clients.uploads import ClientImport, ImportPiece

__all__ = [
    "AttributeName",
    "Client",
    "ClientImport",
    "ClientList",
    "ImportPiece",
    "Membership",
    "Suppression",
    "validate_attributes",
]

NAME_LENGTH = 200
COMMENT_LENGTH = 10_000


def name_key(full_name: str) -> str:
    """Return the key by which people's names are sorted and searched: case and ё/е make no difference in any
    collation.
    """
    return " ".join(full_name.casefold().replace("ё", "е").split())


_not_too_long = MaxLengthValidator(COMMENT_LENGTH)


class Client(models.Model):
    """A person who gets letters. Unique for its owner by the normalised address."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="clients", verbose_name=_("owner"))
    email = fields.AddressField(_("e-mail"))
    full_name = fields.one_line(_("full name"), NAME_LENGTH, blank=True)
    name_key = models.CharField(max_length=NAME_LENGTH * 3, db_collation="C", editable=False, blank=True)
    comment = models.TextField(
        _("comment"), blank=True, max_length=COMMENT_LENGTH, validators=[fields.validate_text, _not_too_long]
    )
    attributes = models.JSONField(_("attributes"), default=dict, blank=True, validators=[validate_attributes])
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects = access.VisibleQuerySet.as_manager()

    class Meta:
        verbose_name = _("client")
        verbose_name_plural = _("clients")
        constraints = [
            # Also serves an owner's page of clients by address, and the search for the beginning of one.
            models.UniqueConstraint(
                fields=["owner", "email"],
                name="client_once_per_owner",
                violation_error_message=_("You have a client with this address already."),
            ),
        ]
        indexes = [
            # An owner's page of clients by name.
            models.Index(fields=["owner", "name_key", "id"], name="client_by_name"),
            # The same by when they were added. The foreign key's own index may go with the next version.
            models.Index(fields=["owner", "id"], name="client_by_age"),
        ]

    def __str__(self) -> str:
        address = addresses.shown(self.email)
        return f"{self.full_name} <{address}>" if self.full_name else address

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.name_key = name_key(self.full_name)
        super().save(*args, **kwargs)


class ClientList(models.Model):
    """A named set of one owner's clients."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="client_lists", verbose_name=_("owner")
    )
    name = fields.one_line(_("name"), 200)
    clients: models.ManyToManyField[Client, Any] = models.ManyToManyField(
        Client, through="Membership", related_name="lists", verbose_name=_("clients")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True, db_default=Now())
    shares = GenericRelation("accounts.Share")

    objects = access.VisibleQuerySet.as_manager()

    class Meta:
        verbose_name = _("client list")
        verbose_name_plural = _("client lists")
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"],
                name="list_name_once_per_owner",
                violation_error_message=_("You have a list of this name already."),
            ),
        ]

    def __str__(self) -> str:
        return str(self.name)


class Membership(models.Model):
    """A client on a list. Both have one owner: the verbs that add see to it."""

    client_list = models.ForeignKey(ClientList, models.CASCADE, related_name="memberships", verbose_name=_("list"))
    client = models.ForeignKey(Client, models.CASCADE, related_name="memberships", verbose_name=_("client"))

    class Meta:
        verbose_name = _("list membership")
        verbose_name_plural = _("list memberships")
        constraints = [models.UniqueConstraint(fields=["client_list", "client"], name="client_once_per_list")]

    def __str__(self) -> str:
        return f"{self.client_id} ∈ {self.client_list_id}"


class ClientListUserObjectPermission(UserObjectPermissionBase):
    """guardian's direct table: what a user may do with a list."""

    content_object = models.ForeignKey(ClientList, models.CASCADE)


class ClientListGroupObjectPermission(GroupObjectPermissionBase):
    """guardian's direct table: what a group may do with a list."""

    content_object = models.ForeignKey(ClientList, models.CASCADE)

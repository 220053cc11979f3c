"""What is shared with whom. The rights themselves are guardian's grants; `vestnik.sharing` keeps the two in step."""

from __future__ import annotations

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from vestnik import fields


class ShareLevel(models.TextChoices):
    """What those may do that an object is shared with."""

    VIEW = "view", _("to view")
    EDIT = "edit", _("to edit")


class Share(models.Model):
    """An object that its owner shares with whoever has an address, whether or not they have an account by now."""

    Level = ShareLevel

    was_there = False
    """Whether the share existed at this level before (`sharing.share` sets it); not stored."""

    content_type = models.ForeignKey(
        ContentType, models.CASCADE, related_name="+", db_index=False, verbose_name=_("kind")
    )
    object_id = models.BigIntegerField(_("number"))
    shared = GenericForeignKey()
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    address = fields.AddressField(_("e-mail"), ascii_only=True)
    level = models.CharField(_("level"), max_length=4, choices=Level.choices, default=Level.VIEW)
    # Who received it; never shown, for it tells who is registered. By now the address may belong to somebody else.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("user")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("share")
        verbose_name_plural = _("shares")
        constraints = [
            # Also finds with whom an object is shared, for its page.
            models.UniqueConstraint(fields=["content_type", "object_id", "address"], name="share_once"),
            models.CheckConstraint(condition=models.Q(level__in=["view", "edit"]), name="share_level"),
        ]
        indexes = [
            # Finds what waits for an address when somebody confirms it.
            models.Index(fields=["address"], name="share_waiting", condition=models.Q(user=None)),
        ]

    def __str__(self) -> str:
        return f"{self.content_type_id}/{self.object_id} → {self.address}"

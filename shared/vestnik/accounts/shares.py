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
    VIEW = "view", _("to view")
    EDIT = "edit", _("to edit")


class Share(models.Model):
    """That an owner shares a thing with whoever reads an address, whether or not they have an account by now."""

    Level = ShareLevel

    was_there = False
    """Whether it said just this before somebody shared the thing (`sharing.share`); not kept."""

    content_type = models.ForeignKey(
        ContentType, models.CASCADE, related_name="+", db_index=False, verbose_name=_("kind")
    )
    object_id = models.BigIntegerField(_("number"))
    thing = GenericForeignKey()
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    address = fields.AddressField(_("e-mail"), ascii_only=True)
    level = models.CharField(_("level"), max_length=4, choices=Level.choices, default=Level.VIEW)
    # Who took it; never shown, for it tells who is registered. The address may be another's by now.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("user")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("share")
        verbose_name_plural = _("shares")
        constraints = [
            # Also serves the page of a thing: with whom it is shared.
            models.UniqueConstraint(fields=["content_type", "object_id", "address"], name="share_once"),
            models.CheckConstraint(condition=models.Q(level__in=["view", "edit"]), name="share_level"),
        ]
        indexes = [
            # Whoever confirms an address: what waits for it.
            models.Index(fields=["address"], name="share_waiting", condition=models.Q(user=None)),
        ]

    def __str__(self) -> str:
        return f"{self.content_type_id}/{self.object_id} → {self.address}"

"""Sharing mailings, messages and client lists with others, by their address: to view, or to edit.

A share is kept whether or not somebody has the address, and looks the same: it tells nobody who is registered. Rights
are given at once to whoever has confirmed the address, else as soon as somebody does (`receive`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from vestnik import access, locks, sharing_letters
from vestnik.accounts import audit
from vestnik.accounts.models import User
from vestnik.accounts.shares import Share, ShareLevel
from vestnik.clients.models import ClientList
from vestnik.mailings import message_copies
from vestnik.mailings.models import Mailing, Message

ALLOWED: dict[str, tuple[access.Action, ...]] = {ShareLevel.VIEW: ("view",), ShareLevel.EDIT: ("view", "change")}


@transaction.atomic
def share(obj: Any, by: User, address: str, level: str, from_address: str = "") -> Share:
    """Share the owner's `obj` with whoever has `address`, at this level ("view" or "edit"), and return the share.

    A share with this address that exists already gets the level. A letter tells them, unless the share existed at this
    level: then it is returned as it is, with `was_there` set. `from_address` is the IP address of the request.

    Raises ValidationError: for `address` if it is none or one's own, or the owner has shared too much; for `level`; and
    if the object is not one's own.
    """
    _refuse_others(obj, by)
    wanted = Share(
        content_type=ContentType.objects.get_for_model(obj),
        object_id=obj.pk,
        owner=by,
        address=address,
        level=level,
    )
    wanted.clean_fields()
    if wanted.address == by.email:
        raise ValidationError({"address": _("This is your own address: you have all rights already.")})
    locks.wait(locks.SHARE, wanted.address)  # and whoever confirms it: one of them sees what the other did
    _lock(obj)
    key = {"content_type": wanted.content_type, "object_id": obj.pk, "address": wanted.address}
    found = Share.objects.select_for_update(no_key=True).filter(**key).first()
    if found is not None and found.level == wanted.level:
        found.was_there = True
        return found
    _refuse_too_many(by, new=found is None)
    made = found or wanted
    made.level = wanted.level
    if made.user_id is None:
        made.user = User.objects.filter(email=made.address, is_active=True, confirmed_at__isnull=False).first()
    made.save()
    if made.user_id is not None:
        _grant(made.user_id, made.content_type, [obj.pk])
        if made.level == ShareLevel.VIEW:
            _copy_message_of_editor(made.user_id, obj, by, from_address)
    audit.write(audit.AuditAction.SHARED, by, obj, made.address, address=from_address, reason=made.level)
    sharing_letters.invite(made, by, obj)
    return made


@transaction.atomic
def unshare(share: Share, by: User, from_address: str = "") -> None:
    """Take a share back; a second call changes nothing.

    Whoever it was taken from keeps copies: of a shared message, if mailings of theirs use it. A mailing that they may
    no longer change keeps a copy of its message, if the message is theirs.

    Raises ValidationError if the object is not one's own.
    """
    obj = share.shared
    if obj is None:
        return  # deleted, and the share with it
    _refuse_others(obj, by)
    _lock(obj)
    found = Share.objects.select_for_update().filter(pk=share.pk).first()
    if found is None:
        return
    found.delete()
    if found.user_id is not None:
        _grant(found.user_id, found.content_type, [obj.pk])
        if isinstance(obj, Message):
            taken = Mailing.objects.filter(message=obj, owner=found.user_id)
            message_copies.hand_over(taken, by, from_address)
        _copy_message_of_editor(found.user_id, obj, by, from_address)
    audit.write(audit.AuditAction.UNSHARED, by, obj, found.address, address=from_address)


def shares_of(obj: Any) -> list[Share]:
    """Return the shares of an object, ordered by address."""
    return list(obj.shares.order_by("address"))


@transaction.atomic
def receive(user: User) -> None:
    """Give a user what was shared with their address; nothing while they are blocked or have not confirmed it.

    Idempotent.
    """
    if not (user.is_active and user.is_confirmed):
        return
    locks.wait(locks.SHARE, user.email)
    waiting = Share.objects.select_for_update().filter(address=user.email, user=None).exclude(owner=user)
    received: dict[ContentType, list[int]] = {}
    taken = []
    for found in waiting.select_related("content_type").order_by("pk"):
        received.setdefault(found.content_type, []).append(found.object_id)
        taken.append(found.pk)
    Share.objects.filter(pk__in=taken).update(user=user)
    for content_type, ids in received.items():
        _grant(user.pk, content_type, ids)


@transaction.atomic
def forget(user: User) -> None:
    """End all that a user has shared, and all that was shared with them, as their account is being deleted."""
    Share.objects.filter(Q(owner=user) | Q(user=user)).delete()
    for model in (Mailing, Message, ClientList):
        table = _grants_to_users(model)
        table.objects.filter(content_object__owner=user).exclude(user=user).delete()
        table.objects.filter(user=user).exclude(content_object__owner=user).delete()


def _lock(obj: Any) -> None:
    """Wait for whoever changes the object, and make them wait (`mailings.verbs`): either they may still change it, or
    not.
    """
    type(obj)._default_manager.select_for_update(no_key=True).filter(pk=obj.pk).first()


def _copy_message_of_editor(user_id: int, obj: Any, by: User, from_address: str) -> None:
    """Give a mailing a copy of its message, if that belongs to a user who may no longer change the mailing."""
    if isinstance(obj, Mailing):
        message_copies.hand_over(Mailing.objects.filter(pk=obj.pk, message__owner=user_id), by, from_address)


def _refuse_too_many(by: User, new: bool) -> None:
    locks.wait(locks.OWNERS_SHARES, by.pk)  # of two at once each is counted for the other
    entries = audit.AuditEntry.objects.filter(actor_id=by.pk, action=audit.AuditAction.SHARED).order_by("-pk")
    if sharing_letters.spent(entries.values_list("at", flat=True), settings.SHARES_PER_DAY):
        limit = settings.SHARES_PER_DAY
        raise ValidationError(
            {"address": _("You have shared something %(limit)d times within a day; go on tomorrow.") % {"limit": limit}}
        )
    limit = settings.SHARES_PER_OWNER
    if new and Share.objects.filter(owner=by).count() >= limit:
        raise ValidationError(
            {
                "address": _("You have %(limit)d shares, as many as one may have; take one back first.")
                % {"limit": limit}
            }
        )


def _refuse_others(obj: Any, by: User) -> None:
    if not access.may_share(by, obj):
        raise ValidationError(_("Only its owner says with whom it is shared."))


def _grant(user_id: int, content_type: ContentType, ids: Collection[int]) -> None:
    """Make the user's rights on these objects what the shares say: one user may have two addresses, and two shares."""
    model: Any = content_type.model_class()
    table = _grants_to_users(model)
    table.objects.filter(user=user_id, content_object__in=ids).delete()
    names = {action: access.codename(action, model) for action in access.ACTIONS}
    permissions = dict(
        Permission.objects.filter(content_type=content_type, codename__in=names.values()).values_list("codename", "pk")
    )
    table.objects.bulk_create(
        (
            table(user_id=user_id, content_object_id=held.object_id, permission_id=permissions[names[action]])
            for held in Share.objects.filter(content_type=content_type, object_id__in=ids, user=user_id)
            for action in ALLOWED[held.level]
        ),
        ignore_conflicts=True,
    )


def _grants_to_users(model: type[models.Model]) -> Any:
    [to_users, _to_groups] = access.grants_on(model) or []
    return to_users

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
def share(thing: Any, by: User, address: str, level: str, from_address: str = "") -> Share:
    """Share the owner's `thing` with whoever has `address`, at this level ("view" or "edit"); a share that is there
    gets the level. They are told by a letter, unless it `was_there` and nothing is new. `from_address` is the IP
    address it was asked from.

    Raises ValidationError: for `address` if it is none or one's own, or the owner has shared too much; for `level`; and
    if the thing is not one's own.
    """
    _refuse_others(thing, by)
    wanted = Share(
        content_type=ContentType.objects.get_for_model(thing),
        object_id=thing.pk,
        owner=by,
        address=address,
        level=level,
    )
    wanted.clean_fields()
    if wanted.address == by.email:
        raise ValidationError({"address": _("This is your own address: you have all rights already.")})
    locks.wait(locks.SHARE, wanted.address)  # and whoever confirms it: one of them sees what the other did
    _lock(thing)
    key = {"content_type": wanted.content_type, "object_id": thing.pk, "address": wanted.address}
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
        _grant(made.user_id, made.content_type, [thing.pk])
        if made.level == ShareLevel.VIEW:
            _put_down_the_pen(made.user_id, thing, by, from_address)
    audit.write(audit.AuditAction.SHARED, by, thing, made.address, address=from_address, reason=made.level)
    sharing_letters.invite(made, by, thing)
    return made


@transaction.atomic
def unshare(share: Share, by: User, from_address: str = "") -> None:
    """Take a share back; twice is once. Mailings of whom it was taken from go on with copies of a message they use; and
    a mailing that they may change no longer, with a copy of its message if that is theirs.

    Raises ValidationError if the thing is not one's own.
    """
    thing = share.thing
    if thing is None:
        return  # deleted, and the share with it
    _refuse_others(thing, by)
    _lock(thing)
    found = Share.objects.select_for_update().filter(pk=share.pk).first()
    if found is None:
        return
    found.delete()
    if found.user_id is not None:
        _grant(found.user_id, found.content_type, [thing.pk])
        if isinstance(thing, Message):
            taken = Mailing.objects.filter(message=thing, owner=found.user_id)
            message_copies.hand_over(taken, by, from_address)
        _put_down_the_pen(found.user_id, thing, by, from_address)
    audit.write(audit.AuditAction.UNSHARED, by, thing, found.address, address=from_address)


def shares_of(thing: Any) -> list[Share]:
    """With whom a thing is shared, by address."""
    return list(thing.shares.order_by("address"))


@transaction.atomic
def receive(user: User) -> None:
    """Give a user what waits for their address; nothing while they are blocked or have not confirmed it. Idempotent."""
    if not (user.is_active and user.is_confirmed):
        return
    locks.wait(locks.SHARE, user.email)
    waiting = Share.objects.select_for_update().filter(address=user.email, user=None).exclude(owner=user)
    things: dict[ContentType, list[int]] = {}
    taken = []
    for found in waiting.select_related("content_type").order_by("pk"):
        things.setdefault(found.content_type, []).append(found.object_id)
        taken.append(found.pk)
    Share.objects.filter(pk__in=taken).update(user=user)
    for content_type, ids in things.items():
        _grant(user.pk, content_type, ids)


@transaction.atomic
def forget(user: User) -> None:
    """End all that a user has shared, and all that was shared with them; their account is being deleted."""
    Share.objects.filter(Q(owner=user) | Q(user=user)).delete()
    for model in (Mailing, Message, ClientList):
        table = _grants_to_users(model)
        table.objects.filter(content_object__owner=user).exclude(user=user).delete()
        table.objects.filter(user=user).exclude(content_object__owner=user).delete()


def _lock(thing: Any) -> None:
    """Wait for who changes the thing, and let them wait (`mailings.verbs`): either they may, or they may not."""
    type(thing)._default_manager.select_for_update(no_key=True).filter(pk=thing.pk).first()


def _put_down_the_pen(user_id: int, thing: Any, by: User, from_address: str) -> None:
    """Who may no longer change a mailing does not write what it sends either."""
    if isinstance(thing, Mailing):
        message_copies.hand_over(Mailing.objects.filter(pk=thing.pk, message__owner=user_id), by, from_address)


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


def _refuse_others(thing: Any, by: User) -> None:
    if not access.may_share(by, thing):
        raise ValidationError(_("Only its owner says with whom it is shared."))


def _grant(user_id: int, content_type: ContentType, ids: Collection[int]) -> None:
    """Make the user's rights on these things what the shares say: somebody may have two addresses, and two shares."""
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

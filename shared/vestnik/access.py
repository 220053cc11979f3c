"""Who may see or do what: the one place that answers.

Rights on an object come from owning it, from a grant on it (guardian's object permissions: the owner's own, made at
creation, and those made by sharing) or from a permission held for all objects (superusers, the managers' group).
Ceilings come before any grant: the blocked do nothing at all, the unconfirmed and the managers change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from guardian.shortcuts import assign_perm

if TYPE_CHECKING:
    from vestnik.accounts.models import User

Action = Literal["view", "change", "delete"]
ACTIONS: tuple[Action, ...] = ("view", "change", "delete")

Object = TypeVar("Object", bound=models.Model)


class VisibleQuerySet(models.QuerySet[Object]):
    """Objects of one owner each, that can be narrowed to what a user may see."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        visible: Self = visible_to(user, self)
        return visible


def visible_to(user: User | AnonymousUser, objects: Any) -> Any:
    """Those of the queryset `objects` that `user` may see, as a queryset.

    Owned objects are found by the owner column, not by the owner's grants: guardian's own list queries do not scale.
    """
    if not isinstance(user, AnonymousUser) and user.is_active:
        if user.has_perm(_permission("view", objects.model)):
            return objects
        own = objects.model._default_manager.filter(owner=user)
        grants = _grants(objects.model)
        if grants is None:
            return objects.filter(owner=user)
        granted = [
            table._default_manager.filter(permission__codename=_codename("view", objects.model), **holder)
            for table, holder in zip(grants, ({"user": user}, {"group__in": user.groups.all()}), strict=True)
        ]
        return objects.filter(pk__in=own.values("pk").union(*[held.values("content_object_id") for held in granted]))
    return objects.none()


def may(user: User | AnonymousUser, action: Action, thing: models.Model) -> bool:
    """Whether `user` may do `action` to `thing`."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    if action != "view" and not may_own(user):
        return False
    permission = _permission(action, type(thing))
    if user.has_perm(permission):
        return True
    if _grants(type(thing)) is None:
        return bool(getattr(thing, "owner_id", None) == user.pk)
    return user.has_perm(permission, thing)


def may_own(user: User | AnonymousUser) -> bool:
    """Whether `user` may make and change things of their own."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    return user.is_superuser or (user.is_confirmed and not user.is_manager)


def grant_to_owner(thing: Any) -> None:
    """Give the owner of a new object every right on it. Called by the verb that creates, in its transaction."""
    for action in ACTIONS:
        assign_perm(_permission(action, type(thing)), thing.owner, thing)


def _codename(action: Action, model: type[models.Model]) -> str:
    return f"{action}_{model._meta.model_name}"


def _permission(action: Action, model: type[models.Model]) -> str:
    return f"{model._meta.app_label}.{_codename(action, model)}"


def _grants(model: type[models.Model]) -> list[Any] | None:
    """guardian's direct tables of grants on `model`, to users and groups; None where rights follow from the owner."""
    try:
        return [
            model._meta.get_field(f"{model._meta.model_name}{holder}objectpermission").related_model
            for holder in ("user", "group")
        ]
    except FieldDoesNotExist:
        return None

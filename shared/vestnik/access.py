"""Who may see or do what: the one place that answers.

Rights on an object come from owning it, from a grant on it (guardian's object permissions: the owner's own, made at
creation, and those made by sharing) or from a permission held for all objects (superusers, the managers' group).
Ceilings come before any grant: the blocked do nothing at all, the unconfirmed and the managers change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from django.contrib.auth.models import AnonymousUser, Permission
from django.core.exceptions import FieldDoesNotExist
from django.db import models

if TYPE_CHECKING:
    from vestnik.accounts.models import User

Action = Literal["view", "change", "delete"]
ACTIONS: tuple[Action, ...] = ("view", "change", "delete")

Object = TypeVar("Object", bound=models.Model)


class VisibleQuerySet(models.QuerySet[Object]):
    """Objects of one owner each, which can be narrowed to what a user may see."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Return those that `user` may see, be it by a permission for all of them."""
        visible: Self = visible_to(user, self)
        return visible

    def own_or_shared(self, user: User | AnonymousUser) -> Self:
        """Return those that are the user's own or were shared with them."""
        found: Self = own_or_shared(user, self)
        return found


def visible_to(user: User | AnonymousUser, objects: Any) -> Any:
    """Return those of the queryset `objects` that `user` may see, as a queryset."""
    if user.is_active and user.has_perm(permission("view", objects.model)):
        return objects
    return own_or_shared(user, objects)


def own_or_shared(user: User | AnonymousUser, objects: Any, action: Action = "view") -> Any:
    """Return those of the queryset `objects` that are the user's own or were shared with them for `action`, as a
    queryset; whatever else they may see.

    Owned objects are found by the owner column, not by the owner's grants: guardian's own list queries do not scale.
    """
    if isinstance(user, AnonymousUser) or not user.is_active:
        return objects.none()
    grants = grants_on(objects.model)
    if grants is None:
        return objects.filter(owner=user)
    own = objects.model._default_manager.filter(owner=user)
    granted = [
        table._default_manager.filter(permission__codename=codename(action, objects.model), **holder)
        for table, holder in zip(grants, ({"user": user}, {"group__in": user.groups.all()}), strict=True)
    ]
    return objects.filter(pk__in=own.values("pk").union(*[held.values("content_object_id") for held in granted]))


def may(user: User | AnonymousUser, action: Action, obj: models.Model) -> bool:
    """Say whether `user` may do `action` to `obj`.

    The blocked may nothing; the unconfirmed and managers may view only.
    """
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    if action != "view" and not may_own(user):
        return False
    wanted = permission(action, type(obj))
    if user.has_perm(wanted):
        return True
    if grants_on(type(obj)) is None:
        return _owns(user, obj)
    return user.has_perm(wanted, obj)


def may_own(user: User | AnonymousUser) -> bool:
    """Say whether `user` may make and change objects of their own."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    return user.is_superuser or (user.is_confirmed and not user.is_manager)


def may_share(user: User | AnonymousUser, obj: models.Model) -> bool:
    """Say whether `user` may share `obj` with others: its owner may, and never those it was shared with."""
    return may_own(user) and _owns(user, obj) and grants_on(type(obj)) is not None


def may_choose_audience(user: User | AnonymousUser, mailing: models.Model) -> bool:
    """Say whether `user` may say who gets `mailing`: its owner, not those it was shared with to edit."""
    return may_own(user) and (user.is_superuser or _owns(user, mailing))


def may_write_service_letters(user: User | AnonymousUser) -> bool:
    """Say whether `user` may make a mailing one of service letters, from which nobody unsubscribes."""
    return may_own(user) and user.has_perm("mailings.write_service_letters")


def may_see_addresses(user: User | AnonymousUser, owner_id: int) -> bool:
    """Say whether `user` may see whole addresses of this owner's clients; for others they are masked, and lists
    closed.
    """
    return user.is_active and (user.is_superuser or user.pk == owner_id)


def may_supervise(user: User | AnonymousUser) -> bool:
    """Say whether `user` may open the panel, switch mailings off and block people."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    return user.is_superuser or (user.is_confirmed and user.is_manager)


def may_block(user: User, whom: User) -> bool:
    """Say whether `user` may block `whom`: nobody blocks themself, and only a superuser a manager or a superuser."""
    protected = whom.is_superuser or whom.is_manager
    return may_supervise(user) and user.pk != whom.pk and (user.is_superuser or not protected)


def may_requeue(user: User | AnonymousUser) -> bool:
    """Say whether `user` may try jobs again that died, or discard them."""
    return user.is_active and user.is_superuser


def may_write_blog(user: User | AnonymousUser) -> bool:
    """Say whether `user` may write the blog, and so open the admin site, which shows them nothing else."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    return user.is_superuser or (user.is_confirmed and user.is_content_manager)


def grant_to_owner(obj: Any) -> None:
    """Give the owner of a new object every right on it; call it in the transaction that creates the object.

    Two statements, where guardian's `assign_perm` asks a dozen.
    """
    model = type(obj)
    tables = grants_on(model)
    assert tables is not None
    names = [codename(action, model) for action in ACTIONS]
    rights = Permission.objects.filter(content_type__app_label=model._meta.app_label, codename__in=names)
    made = [tables[0](permission=right, user_id=obj.owner_id, content_object=obj) for right in rights]
    assert len(made) == len(ACTIONS), "the migrations make them"
    tables[0]._default_manager.bulk_create(made, ignore_conflicts=True)


def codename(action: Action, model: type[models.Model]) -> str:
    """Return the permission's name within its app, as Django has it: view_mailing."""
    return f"{action}_{model._meta.model_name}"


def permission(action: Action, model: type[models.Model]) -> str:
    """Return the permission's whole name: mailings.view_mailing."""
    return f"{model._meta.app_label}.{codename(action, model)}"


def grants_on(model: type[models.Model]) -> list[Any] | None:
    """Return guardian's tables of grants on `model`, to users and to groups; None where rights follow from the
    owner.
    """
    try:
        return [
            model._meta.get_field(f"{model._meta.model_name}{holder}objectpermission").related_model
            for holder in ("user", "group")
        ]
    except FieldDoesNotExist:
        return None


def _owns(user: User | AnonymousUser, obj: models.Model) -> bool:
    return bool(getattr(obj, "owner_id", None) == user.pk)

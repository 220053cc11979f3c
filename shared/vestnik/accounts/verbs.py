"""What people do with their own account, and what is recorded of them. Bad input is a ValidationError, keyed by
field.
"""

from datetime import timedelta

from django.contrib.auth.models import Group
from django.db.models import Q
from django.db.models.functions import Now

from vestnik.accounts.models import User

SEEN_EVERY = timedelta(minutes=5)
"""How old `last_seen_at` may be before a page writes it again."""


def save_profile(user: User, *, full_name: str, language: str, time_zone: str, postal_address: str = "") -> User:
    """Save what the user says about themself."""
    said = {
        "full_name": full_name.strip(),
        "postal_address": postal_address.strip(),
        "language": language,
        "time_zone": time_zone,
    }
    for name, value in said.items():
        setattr(user, name, value)
    user.clean_fields(exclude={field.name for field in User._meta.fields} - said.keys())
    user.save(update_fields=[*said])
    return user


def note_seen(user: User) -> None:
    """Record that the user is here, unless that was recorded within SEEN_EVERY."""
    stale = Q(last_seen_at=None) | Q(last_seen_at__lt=Now() - SEEN_EVERY)
    User.objects.filter(stale, pk=user.pk).update(last_seen_at=Now())


def join(user: User, group: str) -> bool:
    """Put the user in the group of this name (`accounts.groups`); return False if they were in it already."""
    was = user.groups.filter(name=group).exists()
    user.groups.add(Group.objects.get(name=group))
    return not was


def leave(user: User, group: str) -> bool:
    """Take the user out of the group of this name; return False if they were not in it."""
    was = user.groups.filter(name=group).exists()
    user.groups.remove(Group.objects.get(name=group))
    return was

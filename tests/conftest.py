"""The cast: Alice owns, Bob is a stranger, Maria manages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vestnik.accounts.models import User


@pytest.fixture(autouse=True)
def nobodys_language() -> None:
    """Begin each test in the settings' language and zone: those of a page that a test asked for outlive its answer."""
    from django.utils import timezone, translation

    translation.deactivate()
    timezone.deactivate()


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Leave the database its name on every worker: each has a server of its own, and the database is there."""


@pytest.fixture
def alice(db: None) -> User:
    return _person("alice", "Alice Archer")


@pytest.fixture
def bob(db: None) -> User:
    return _person("bob", "Bob Baker")


@pytest.fixture
def maria(db: None) -> User:
    from django.contrib.auth.models import Group

    user = _person("maria", "Мария Менеджер")
    user.groups.add(Group.objects.get(name="managers"))
    return user


@pytest.fixture
def valkey() -> Iterator[None]:
    """An empty broker and cache, before and after."""
    import redis
    from django.conf import settings

    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushall()
    yield
    client.flushall()


def _person(name: str, full_name: str) -> User:
    from django.utils import timezone

    from vestnik.accounts.models import User

    # Seen just now: none of their pages begins by noting it, and what pages ask of the database can be counted.
    return User.objects.create_user(
        f"{name}@example.org", "a long password", full_name=full_name, last_seen_at=timezone.now()
    )

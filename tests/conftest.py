"""The cast: Alice owns, Bob is a stranger, Maria manages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vestnik.accounts.models import User


@pytest.fixture
def alice(db: None) -> User:
    from vestnik.accounts.models import User

    return User.objects.create_user("alice@example.org", "a long password", full_name="Alice Archer")


@pytest.fixture
def bob(db: None) -> User:
    from vestnik.accounts.models import User

    return User.objects.create_user("bob@example.org", "a long password", full_name="Bob Baker")


@pytest.fixture
def maria(db: None) -> User:
    from django.contrib.auth.models import Group

    from vestnik.accounts.models import User

    user = User.objects.create_user("maria@example.org", "a long password", full_name="Мария Менеджер")
    user.groups.add(Group.objects.get_or_create(name="managers")[0])
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

"""Sessions that ran out are swept; those of the key of before go on while it is named."""

from datetime import timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dispatcher.runs import ticking
from vestnik.accounts import sessions

pytestmark = pytest.mark.django_db

ANOTHER = "another-key-that-nobody-knows-0123456789"


def session(ends_in: timedelta) -> str:
    store = SessionStore()
    store.create()
    Session.objects.filter(pk=store.session_key).update(expire_date=timezone.now() + ends_in)
    return store.session_key


def test_the_tick_forgets_sessions_that_ran_out_and_no_other():
    session(-timedelta(seconds=1))
    session(-timedelta(days=400))
    alive = session(timedelta(minutes=1))
    ticking.do_what_is_due()
    assert list(Session.objects.values_list("pk", flat=True)) == [alive]


def test_pruning_takes_a_bound_number_and_the_oldest_first(monkeypatch):
    monkeypatch.setattr(sessions, "AT_ONCE", 2)
    young = session(-timedelta(days=1))
    for days in (9, 10):
        session(-timedelta(days=days))
    sessions.prune()
    assert list(Session.objects.values_list("pk", flat=True)) == [young]
    sessions.prune()
    assert not Session.objects.exists()


@pytest.mark.parametrize("named", [True, False])
def test_who_is_signed_in_stays_so_after_the_key_was_changed_while_the_old_one_is_named(alice, settings, named):
    visitor = Client()
    visitor.force_login(alice)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY] if named else []
    settings.SECRET_KEY = ANOTHER
    assert (visitor.get(reverse("overview")).status_code == 200) is named
    settings.SECRET_KEY_FALLBACKS = []  # taken out later: whoever came meanwhile has a session by the new key
    assert (visitor.get(reverse("overview")).status_code == 200) is named

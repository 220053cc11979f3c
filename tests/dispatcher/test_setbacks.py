"""A mail service that takes nothing: pages can say so, in its own words."""

import secrets
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from dispatcher import engine as engines
from dispatcher import foreground, lanes, ledger
from dispatcher.providers.errors import Unavailable
from tests.dispatcher.test_sending import launched, states
from vestnik.mailings import service
from vestnik.testing.factories import make_mailing
from web.home import status

AWAY = Unavailable("smtp://mail.example:25 cannot be reached: Connection refused")


@pytest.fixture
def lane(engine, monkeypatch):
    """Runs one slice of a lane for an owner, by the test's engine."""
    monkeypatch.setattr(engines, "_engine", engine)

    def run_slice(owner):
        lanes.run_slice(owner.pk, 0, secrets.token_hex(8))
        lanes._redis().delete(lanes._slot(owner.pk, 0))

    return run_slice


def on_the_home_page():
    return [(part.well, part.words) for part in status.parts() if part.name == "Mail service"]


def test_a_lane_that_was_refused_leaves_word_until_something_is_handed_over(alice, provider, lane, settings):
    settings.SETBACKS = [5]
    run = launched(make_mailing(alice, 3))
    assert (service.setback(), on_the_home_page()) == (None, [])
    provider.fail(AWAY)
    before = timezone.now()
    lane(alice)
    note = service.setback()
    assert note.words == str(AWAY)
    assert timedelta(seconds=5) <= note.until - before < timedelta(seconds=10)
    assert on_the_home_page() == [(False, "takes nothing at the moment")]
    assert 5 < cache._cache.get_client().ttl(cache.make_key(service.KEY)) <= 35
    provider.recover()
    lane(alice)
    assert states(run) == ["sent"] * 3
    assert (service.setback(), on_the_home_page()) == (None, [])


def test_a_lane_with_nothing_to_hand_over_proves_nothing(alice, bob, provider, lane):
    launched(make_mailing(alice, 1))
    provider.fail(AWAY)
    lane(alice)
    lane(bob)
    assert service.setback() is not None


def test_another_owners_letters_prove_that_the_service_is_back(alice, bob, provider, lane):
    launched(make_mailing(alice, 1))
    launched(make_mailing(bob, 1))
    provider.fail(AWAY)
    lane(alice)
    provider.recover()
    lane(bob)
    assert service.setback() is None


def test_letters_that_are_sent_in_the_foreground_leave_word_too(alice, engine, provider, settings):
    settings.SETBACKS = [0.05, 0.05]
    run = launched(make_mailing(alice, 1))
    provider.fail(AWAY)
    with pytest.raises(foreground.Away):
        foreground.send(engine, [run.pk])
    assert service.setback().words == str(AWAY)
    provider.recover()
    foreground.send(engine, [run.pk])
    assert states(run) == ["sent"]
    assert service.setback() is None


def test_a_database_that_is_away_is_no_fault_of_the_service(alice, provider, lane, monkeypatch):
    from django.db import OperationalError

    def gone(*_):
        raise OperationalError("gone")

    launched(make_mailing(alice, 1))
    monkeypatch.setattr(ledger, "next_run", gone)
    lane(alice)
    assert service.setback() is None


def test_without_a_cache_there_is_no_note_and_letters_go_out(alice, lane, settings):
    run = launched(make_mailing(alice, 1))
    nowhere = "unix:///nowhere/valkey.sock"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": nowhere}}
    service.note_setback("words", timedelta(seconds=5))
    assert service.setback() is None
    service.clear_setback()
    lane(alice)
    assert states(run) == ["sent"]

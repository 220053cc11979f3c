"""The links in letters: each stands for one letter, for good, and none can be made up."""

import secrets
import string

import pytest
from django.conf import settings
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vestnik.mailings import letter_tokens, unsubscribe_links
from vestnik.mailings.ledger.models import LinkKey

IN_TOKENS = string.ascii_letters + string.digits + "-_"
deliveries = st.integers(1, 2**63 - 1)
with_database = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def token(delivery_id: int) -> str:
    return unsubscribe_links.signer()(delivery_id).rpartition("/")[2]


@with_database
@given(delivery_id=deliveries)
def test_a_token_stands_for_its_letter(db: None, delivery_id: int) -> None:
    assert unsubscribe_links.read(token(delivery_id)) == delivery_id


@with_database
@given(delivery_id=deliveries, place=st.integers(0, 39), character=st.sampled_from(IN_TOKENS))
def test_a_token_of_which_one_character_is_another_stands_for_nothing(
    db: None, delivery_id: int, place: int, character: str
) -> None:
    right = token(delivery_id)
    assume(place < len(right) and right[place] != character)
    assert unsubscribe_links.read(right[:place] + character + right[place + 1 :]) is None


@with_database
@given(delivery_id=deliveries, cut=st.integers(1, 40), extra=st.text(IN_TOKENS, max_size=3))
def test_a_token_that_was_cut_or_has_something_behind_it_stands_for_nothing(
    db: None, delivery_id: int, cut: int, extra: str
) -> None:
    right = token(delivery_id)
    assert unsubscribe_links.read(right[:-cut]) is None
    assert not extra or unsubscribe_links.read(right + extra) is None


@with_database
@given(text=st.text(max_size=60))
def test_what_is_no_token_stands_for_nothing(db: None, text: str) -> None:
    assert unsubscribe_links.read(text) is None


def test_links_hold_though_keys_change_until_theirs_is_taken_out(db: None, settings) -> None:
    old = token(5)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = secrets.token_hex(32), []
    assert letter_tokens.renew_key() == 2
    new = token(5)

    assert old != new
    assert unsubscribe_links.read(old) == unsubscribe_links.read(new) == 5
    LinkKey.objects.filter(pk=1).delete()
    assert unsubscribe_links.read(old) is None
    assert unsubscribe_links.read(new) == 5


def test_two_installations_do_not_know_each_others_links(db: None) -> None:
    theirs = token(5)
    LinkKey.objects.all().delete()
    assert unsubscribe_links.read(theirs) is None
    assert token(5) != theirs


def test_a_link_is_short_and_plain(db: None) -> None:
    link = unsubscribe_links.signer()(2**63 - 1)
    assert link.startswith(f"{settings.SITE_URL}/u/")
    assert len(link) < len(settings.SITE_URL) + 40
    assert set(link.rpartition("/")[2]) <= set(IN_TOKENS)


@pytest.mark.parametrize("times", [254])
def test_there_are_as_many_keys_as_a_token_can_tell_apart(db: None, times: int) -> None:
    LinkKey.objects.bulk_create(LinkKey(pk=number, key=b"k") for number in range(1, times + 2))
    with pytest.raises(ValueError, match="as many keys"):
        letter_tokens.renew_key()

"""The addresses that answers come back to: each stands for one letter, in whatever case; none can be made up."""

import string

from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vestnik.mailings import return_addresses, unsubscribe_links
from vestnik.mailings.letter_tokens import Purpose

DOMAIN = "bounces.example.org"
IN_TOKENS = string.hexdigits.lower()
deliveries = st.integers(1, 2**63 - 1)
with_database = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@with_database
@given(delivery_id=deliveries)
def test_an_address_stands_for_its_letter_and_its_purpose_in_capitals_as_well(db: None, delivery_id: int) -> None:
    made = return_addresses.writer(DOMAIN)(delivery_id)
    for address, purpose in zip(made, (Purpose.RETURN, Purpose.UNSUBSCRIBE), strict=True):
        assert len(address.partition("@")[0]) <= 64
        assert return_addresses.read(address, purpose) == delivery_id
        assert return_addresses.read(address.upper(), purpose) == delivery_id
        (other,) = set(Purpose) - {purpose}
        assert return_addresses.read(address, other) is None
        assert return_addresses.read(address.replace(DOMAIN, "bounce.example.com"), purpose) == delivery_id


@with_database
@given(delivery_id=deliveries, place=st.integers(0, 40), character=st.sampled_from(IN_TOKENS))
def test_an_address_of_which_one_character_is_another_stands_for_nothing(
    db: None, delivery_id: int, place: int, character: str
) -> None:
    local = return_addresses.writer(DOMAIN)(delivery_id).envelope_sender.partition("@")[0]
    begin, _dash, token = local.partition("-")
    assume(place < len(token) and token[place] != character)
    forged = f"{begin}-{token[:place]}{character}{token[place + 1 :]}@{DOMAIN}"
    assert return_addresses.read(forged, Purpose.RETURN) is None


@with_database
@given(text=st.text(max_size=80))
def test_what_is_no_address_of_ours_stands_for_nothing(db: None, text: str) -> None:
    for written in (text, f"{text}@{DOMAIN}", f"return-{text}@{DOMAIN}", f"stop-{text}@{DOMAIN}"):
        for purpose in Purpose:
            assert return_addresses.read(written, purpose) is None


def test_the_address_to_unsubscribe_is_no_proof_that_a_letter_came_back(db: None) -> None:
    stop = return_addresses.writer(DOMAIN)(5).unsubscribe
    token = stop.partition("@")[0].removeprefix("stop-")
    assert return_addresses.read(f"return-{token}@{DOMAIN}", Purpose.RETURN) is None
    assert unsubscribe_links.read(token) is None

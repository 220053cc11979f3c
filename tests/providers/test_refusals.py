"""Whom a refusal is about, by its codes and words. No network."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.providers.base import About, Outcome, Receipt
from dispatcher.providers.refusals import about, enhanced_code, gist
from tests.providers.conftest import letter

L, US, PACE, UNCLEAR = About.LETTER, About.US, About.PACE, About.UNCLEAR

# As servers say it; what stands in brackets after is who.
SAID = [
    # The address, the mailbox
    ("RCPT", 550, "5.1.1 <bob@example.net>: Recipient address rejected: User unknown in virtual mailbox table", L),
    ("RCPT", 550, "5.1.1 The email account that you tried to reach does not exist. / 5.1.1 see your provider", L),
    ("RCPT", 550, "5.1.2 <bob@nowhere.example>: Recipient address rejected: Domain not found", L),
    ("RCPT", 501, "5.1.3 Bad recipient address syntax", L),
    ("RCPT", 551, "5.1.6 mailbox has moved", L),
    ("RCPT", 556, "5.1.10 Recipient address has null MX", L),
    ("RCPT", 556, "this domain takes no mail", L),
    ("RCPT", 550, "5.2.1 The user you are trying to contact is receiving mail at a rate that prevents", L),
    ("RCPT", 552, "5.2.2 <bob@example.net>: over quota", L),
    ("RCPT", 552, "mailbox full", L),
    ("RCPT", 550, "No such user here", L),
    ("RCPT", 550, "Unrouteable address", L),
    ("RCPT", 550, "<bob@example.net>: User unknown", L),
    ("RCPT", 550, "Mailbox quota exceeded", L),
    ("RCPT", 550, "5.7.1 <bob@example.net>: Recipient address rejected: user unknown", L),
    ("the content", 550, "5.1.1 bob: no such mailbox", L),
    ("the content", 552, "5.3.4 message size exceeds fixed limit", L),
    ("MAIL", 552, "message too large", L),
    ("HTTP", 422, "5.1.1 there is nobody of that name", L),
    ("HTTP", 400, "no such recipient", L),
    ("HTTP", 413, "too large", L),
    # Us
    ("RCPT", 554, "5.7.1 <bob@example.net>: Relay access denied", US),
    ("RCPT", 454, "4.7.1 <bob@example.net>: Relay access denied", US),
    ("RCPT", 550, "relay not permitted", US),
    ("RCPT", 550, "5.7.1 Unable to relay for bob@example.net", US),
    ("RCPT", 553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", US),
    ("RCPT", 553, "5.7.1 <news@our.example>: Sender address rejected: not owned by user news", US),
    ("MAIL", 553, "5.1.8 <news@our.example>: Sender address rejected: Domain not found", US),
    ("RCPT", 550, "5.1.7 bad sender", US),
    ("RCPT", 450, "4.1.8 <news@our.example>: Sender address rejected: Domain not found", US),
    ("RCPT", 554, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", US),
    ("RCPT", 450, "4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", US),
    ("the content", 550, "5.7.26 Unauthenticated email from our.example is not accepted due to domain's DMARC", US),
    ("the content", 550, "SPF check failed", US),
    ("MAIL", 550, "5.7.27 Sender address has null MX", US),
    ("MAIL", 452, "4.3.1 Insufficient system storage", US),
    ("RCPT", 451, "4.3.5 Server configuration error", US),
    ("RCPT", 550, "Your account has been disabled", US),
    ("HTTP", 400, "sender not allowed", US),
    # Too many
    ("MAIL", 421, "4.7.0 try again later", PACE),
    ("RCPT", 450, "4.7.1 Error: too much mail from 192.0.2.1", PACE),
    ("RCPT", 451, "4.7.1 too many letters", PACE),
    ("RCPT", 451, "rate limit exceeded", PACE),
    ("RCPT", 550, "5.4.5 Daily user sending quota exceeded", PACE),
    ("HTTP", 429, "", PACE),
    # Greylisting and what else is this recipient's affair, for now
    ("RCPT", 450, "4.2.0 <bob@example.net>: Recipient address rejected: Greylisted, see http://postgrey.example", L),
    ("RCPT", 451, "4.7.1 Greylisting in action, please come back later", L),
    ("RCPT", 451, "4.7.1 Please try again later", L),
    ("RCPT", 451, "greylisted", L),
    ("RCPT", 452, "4.2.2 mailbox full", L),
    ("RCPT", 450, "4.4.1 no answer from host", L),
    # Nobody can know
    ("RCPT", 550, "5.7.1 bob does not accept mail from you", UNCLEAR),
    ("the content", 554, "5.7.1 this message looks like spam", UNCLEAR),
    ("RCPT", 550, "Invalid recipient: <bob@example.net>", UNCLEAR),
    ("RCPT", 550, "5.4.1 Recipient address rejected: Access denied", UNCLEAR),
    ("RCPT", 550, "no", UNCLEAR),
    ("MAIL", 550, "5.1.1 no such user", UNCLEAR),
    ("MAIL", 550, "5.7.1 not with this sender", UNCLEAR),
    ("RCPT", 450, "later", UNCLEAR),
    ("HTTP", 400, "bad request", UNCLEAR),
    ("HTTP", 404, "not found", UNCLEAR),
]


@pytest.mark.parametrize(("step", "code", "words", "expected"), SAID, ids=lambda value: str(value)[:40])
def test_whom_a_refusal_is_about(step: str, code: int, words: str, expected: About) -> None:
    assert about(step, code, words) is expected


NEVER_OF_A_CLIENT = ["1.7", "1.8", *(f"7.{detail}" for detail in range(20, 30)), "3.2", "3.5"]


@given(st.sampled_from(NEVER_OF_A_CLIENT), st.text(string.ascii_letters + " <>@.:", max_size=80))
def test_a_code_of_the_sender_is_never_the_recipients_affair(code: str, words: str) -> None:
    assert about("RCPT", 550, f"5.{code} {words}") is not About.LETTER


OF_THE_ADDRESS = ["1.1", "1.2", "1.3", "1.6", "1.10", "2.1"]


@given(st.sampled_from(OF_THE_ADDRESS), st.from_regex("[a-df-z ]{0,80}", fullmatch=True))
def test_a_code_of_the_address_is_the_recipients_affair_where_no_sender_is_spoken_of(code: str, words: str) -> None:
    assert about("RCPT", 550, f"5.{code} {words}") is About.LETTER


@pytest.mark.parametrize("step", ["RCPT", "DATA", "the content"])
@given(
    st.sampled_from(OF_THE_ADDRESS),
    st.sampled_from(
        [
            "Sender address rejected",
            "sender rejected",
            "sending account is suspended",
            "invalid sender",
            "sender verify",
        ]
    ),
    st.from_regex("[a-z <>.]{0,40}", fullmatch=True),
)
def test_words_of_the_sender_beat_a_code_of_the_address(step: str, code: str, words: str, before: str) -> None:
    assert about(step, 550, f"5.{code} {before} {words}: user unknown") is About.US


@pytest.mark.parametrize("code", ["4.1.1", "5.1.1", "5.2.1", "5.2.2"])
@given(st.from_regex("[a-z :/]{1,40}", fullmatch=True))
def test_a_code_that_is_quoted_further_on_is_not_this_servers(code: str, before: str) -> None:
    assert enhanced_code(f"x{before} 550 {code} no", code[0]) == ""


@given(st.sampled_from(["MAIL", "RCPT", "DATA", "the content", "HTTP"]), st.integers(400, 599), st.text())
def test_whatever_is_said_it_is_about_somebody(step: str, code: int, words: str) -> None:
    assert about(step, code, words) in About


def test_a_very_long_answer_is_read_at_once() -> None:
    for words in ("relay " * 200_000, "user " * 200_000, "limit " * 200_000, "(" * 500_000, "a@" * 500_000):
        about("RCPT", 550, words)
        gist(words)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("5.1.1 no", "1.1"),
        ("#5.1.0 no", "1.0"),
        ("[5.7.1] no", "7.1"),
        ("4.1.1 then 5.2.2", ""),
        ("Response: 550 5.1.1 no", ""),
        ("550 5.1.1 no", "1.1"),
        ("sorry, no mailbox here (#5.1.1) / really", "1.1"),
        ("sorry / no mailbox here (#5.1.1)", ""),
        ("no", ""),
        ("from 5.1.1.7", ""),
        ("version 15.1.1", ""),
        ("5.1.1234", ""),
        ("5.01.001 no", "1.1"),
    ],
)
def test_an_enhanced_code_is_found_where_it_is_one(words: str, code: str) -> None:
    assert enhanced_code(words, "5") == code


NAMES = st.text(string.ascii_lowercase + string.digits, min_size=3, max_size=12)


@given(NAMES, NAMES, st.integers(0, 10**9), st.from_regex(re.compile(r"[0-9A-F]{3,8}[0-9]"), fullmatch=True))
def test_the_gist_is_the_same_whoever_it_is_about(local: str, domain: str, number: int, queue_id: str) -> None:
    said = (
        f"5.7.1 <{local}@{domain}.example>: Relay access denied ({queue_id}) {number} https://help.example/{queue_id}"
    )
    assert gist(said) == "relay access denied"


@pytest.mark.parametrize(
    ("outcome", "whom", "doubtful", "throttled"),
    [
        (Outcome.PERMANENT, L, False, False), (Outcome.PERMANENT, US, True, False),
        (Outcome.PERMANENT, UNCLEAR, True, False), (Outcome.PERMANENT, PACE, True, True),
        (Outcome.TEMPORARY, L, False, False), (Outcome.TEMPORARY, US, True, False),
        (Outcome.TEMPORARY, UNCLEAR, False, True), (Outcome.TEMPORARY, PACE, False, True),
        (Outcome.RETURNED, US, False, False), (Outcome.UNKNOWN, UNCLEAR, False, False),
    ],
)  # fmt: skip
def test_what_a_refusal_is_about_decides_what_is_done(
    outcome: Outcome, whom: About, doubtful: bool, throttled: bool
) -> None:
    receipt = Receipt(letter(), outcome, 451, "", 0.0, 0.0, about=whom)
    assert (receipt.doubtful, receipt.throttled) == (doubtful, throttled)

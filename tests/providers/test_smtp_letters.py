"""What becomes of a letter, whatever an SMTP service does at whichever step."""

from collections.abc import Callable

import pytest

from dispatcher.providers.base import About, Letter, Outcome, Receipt
from dispatcher.providers.errors import Misconfigured
from dispatcher.providers.smtp import SmtpProvider
from tests.providers.conftest import TIMEOUT, dialled_in_time, letter, letters
from tests.scripted_servers import Drip, Drop, Hang, Late, Raw, Say, SmtpServer
from tests.timing import in_time

STEPS = ("mail", "rcpt", "data", "content")


def deliver_one(provider: SmtpProvider, sent: Letter | None = None) -> Receipt:
    (receipt,) = provider.deliver([sent or letter()])
    return receipt


@pytest.fixture(params=[True, False], ids=["pipelined", "one by one"])
def either(server: SmtpServer, request: pytest.FixtureRequest) -> SmtpServer:
    server.pipelining = request.param
    return server


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("code", "outcome"),
    [(421, Outcome.TEMPORARY), (451, Outcome.TEMPORARY), (452, Outcome.TEMPORARY), (550, Outcome.PERMANENT),
     (552, Outcome.PERMANENT), (554, Outcome.PERMANENT)],
)  # fmt: skip
def test_a_refusal_at_any_step_is_the_outcome_by_its_first_digit(
    either: SmtpServer, provider: SmtpProvider, step: str, code: int, outcome: Outcome
) -> None:
    either.once(step, Say(code, "5.0.0 no", close=code == 421))
    receipt = deliver_one(provider)
    assert (receipt.outcome, receipt.code, receipt.answer) == (outcome, code, "5.0.0 no")
    assert either.letters == []


@pytest.mark.parametrize("step", STEPS)
def test_after_a_refusal_the_same_connection_takes_the_next_letter(
    either: SmtpServer, provider_of: Callable[..., SmtpProvider], step: str
) -> None:
    either.once(step, Say(550))
    receipts = list(provider_of(either, connections=1).deliver(letters(3)))
    assert [receipt.outcome for receipt in receipts] == [Outcome.PERMANENT, Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert either.connections_made == 1
    assert len(either.letters) == 2


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "action",
    [
        Drop(),
        Hang(),
        Raw(b"\x00\xff gibberish\r\n"),
        Raw(b"999 no such code\r\n"),
        Raw(b"2\r\n"),
        Raw(b"250-first\r\n251 other\r\n"),
        Raw(b"x" * 5000),
        Raw(b"250-on and on\r\n" * 101),
        Drip(b"250 ok, but slowly\r\n", every=0.06),
    ],
    ids=["drop", "hang", "bytes", "code", "short", "two codes", "endless line", "endless reply", "drip"],
)
def test_no_readable_answer_is_temporary_before_the_content_and_unknown_after(
    either: SmtpServer, provider_of: Callable[..., SmtpProvider], step: str, action: Drop
) -> None:
    either.once(step, action)
    waits = isinstance(action, Hang | Drip)
    with dialled_in_time():
        receipt = deliver_one(provider_of(either, timeout=0.25 if waits else TIMEOUT))
    assert receipt.outcome is (Outcome.UNKNOWN if step == "content" else Outcome.TEMPORARY)
    assert receipt.code is None
    assert receipt.answer
    either.behave()
    assert deliver_one(provider_of(either)).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(("step", "nonsense"), [("mail", 354), ("rcpt", 354), ("data", 250), ("content", 354)])
def test_an_answer_that_cannot_be_at_this_step_is_no_answer(
    either: SmtpServer, provider: SmtpProvider, step: str, nonsense: int
) -> None:
    either.once(step, Raw(f"{nonsense} nonsense\r\n".encode()))
    receipt = deliver_one(provider)
    assert receipt.outcome is (Outcome.UNKNOWN if step == "content" else Outcome.TEMPORARY)
    assert receipt.code is None


def test_a_connection_broken_in_the_middle_of_the_content_is_unknown(
    either: SmtpServer, provider: SmtpProvider
) -> None:
    either.once("mid-content", Drop())
    receipt = deliver_one(provider, letter(content=b"a line\r\n" * 200_000))
    assert receipt.outcome is Outcome.UNKNOWN
    assert "the connection broke" in receipt.answer


def test_a_service_that_answers_every_step_slowly_is_ended_by_the_letters_own_limit(
    server: SmtpServer, provider_of: Callable[..., SmtpProvider]
) -> None:
    server.pipelining = False
    for step in STEPS:
        server.always(step, Late(0.15))
    with dialled_in_time():
        assert deliver_one(provider_of(server, timeout=0.5)).outcome is Outcome.ACCEPTED
    server.behave()
    for step in STEPS:
        server.always(step, Late(0.4))
    with dialled_in_time():
        receipt = deliver_one(provider_of(server, timeout=0.25))
    assert receipt.outcome is Outcome.TEMPORARY
    in_time(receipt.duration, 5 * 0.25 + 0.1)


def test_a_refused_recipient_with_data_accepted_gets_a_single_dot_and_no_letter(
    server: SmtpServer, provider_of: Callable[..., SmtpProvider]
) -> None:
    server.once("rcpt", Say(550, "5.1.1 no such user"))
    server.once("data", Say(354, "go on nevertheless"))
    receipts = list(provider_of(server, connections=1).deliver(letters(2)))
    assert [receipt.outcome for receipt in receipts] == [Outcome.PERMANENT, Outcome.ACCEPTED]
    assert [received.recipient for received in server.letters] == ["client2@example.org"]
    assert server.connections_made == 1


def test_no_empty_letter_goes_to_a_recipient_whose_sender_was_refused(
    server: SmtpServer, provider: SmtpProvider
) -> None:
    server.once("mail", Raw(b"550 5.7.1 not you\r\n250 2.1.5 but you\r\n354 go on\r\n"))
    receipt = deliver_one(provider)
    assert (receipt.outcome, receipt.answer) == (Outcome.PERMANENT, "5.7.1 not you")
    server.wait_until(lambda: all(conversation.number > 1 for conversation in server.open))
    assert server.letters == []


@pytest.mark.parametrize("code", [530, 534, 535, 538])
def test_a_demand_for_another_login_is_raised_and_the_letter_is_returned(
    either: SmtpServer, provider: SmtpProvider, code: int
) -> None:
    either.once("mail", Say(code, "5.7.0 log in first"))
    receipts: list[Receipt] = []
    iterator = provider.deliver(letters(1))
    receipts.append(next(iterator))
    assert (receipts[0].outcome, receipts[0].code) == (Outcome.RETURNED, code)
    with pytest.raises(Misconfigured, match="log in first"):
        next(iterator)


@pytest.mark.usefixtures("patient")
def test_a_kept_connection_that_the_service_closed_costs_no_letter(
    either: SmtpServer, provider_of: Callable[..., SmtpProvider]
) -> None:
    provider = provider_of(either, connections=1)
    assert deliver_one(provider).outcome is Outcome.ACCEPTED
    either.once("mail", Drop())
    assert deliver_one(provider, letter(2)).outcome is Outcome.ACCEPTED
    either.once("mail", Say(421, "4.4.2 idle for too long", close=True))
    assert deliver_one(provider, letter(3)).outcome is Outcome.ACCEPTED
    assert either.connections_made == 3
    assert [received.message_id for received in either.letters] == [f"{n}@letters.example" for n in (1, 2, 3)]


@pytest.mark.usefixtures("patient")
def test_a_letter_is_tried_on_another_connection_only_once(
    server: SmtpServer, provider_of: Callable[..., SmtpProvider]
) -> None:
    provider = provider_of(server, connections=1)
    assert deliver_one(provider).outcome is Outcome.ACCEPTED
    server.always("mail", Drop())
    receipt = deliver_one(provider, letter(2))
    assert (receipt.outcome, receipt.code) == (Outcome.TEMPORARY, None)
    assert server.commands["MAIL"] == 3


def test_dots_and_line_ends_arrive_as_they_were(either: SmtpServer, provider: SmtpProvider) -> None:
    content = b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\nb.\r\n\r\n.\r\n"
    deliver_one(provider, letter(content=content))
    assert either.letters[0].content == content


def test_a_bare_line_end_cannot_smuggle_a_second_letter(either: SmtpServer, provider: SmtpProvider) -> None:
    content = b"Subject: x\r\n\r\nend\n.\r\nMAIL FROM:<evil@example.org>\r\n\r.\r\n.\nno line end"
    deliver_one(provider, letter(content=content))
    (received,) = either.letters
    assert received.content == content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n") + b"\r\n"


def test_a_large_letter_arrives_whole(either: SmtpServer, provider: SmtpProvider) -> None:
    content = b"Subject: large\r\n\r\n" + (b".x" * 35 + b"\r\n") * 100_000
    assert deliver_one(provider, letter(content=content)).outcome is Outcome.ACCEPTED
    assert either.letters[0].content == content


def test_a_letter_larger_than_the_service_takes_is_refused_without_sending(
    server: SmtpServer, provider_of: Callable[..., SmtpProvider]
) -> None:
    server.size = 1000
    receipts = list(
        provider_of(server, connections=1).deliver([letter(1, content=b"x" * 998 + b"\r\n" + b"x"), letter(2)])
    )
    assert [(receipt.outcome, receipt.code) for receipt in receipts] == [
        (Outcome.PERMANENT, 552),
        (Outcome.ACCEPTED, 250),
    ]
    assert server.commands["MAIL"] == 1
    assert server.letters[0].parameters == f"SIZE={len(letter(2).content)}"


def test_eight_bit_content_is_announced(server: SmtpServer, provider: SmtpProvider) -> None:
    deliver_one(provider, letter(content="Subject: x\r\n\r\nпривет\r\n".encode()))
    assert server.letters[0].parameters == "BODY=8BITMIME"


def test_an_address_that_is_not_ascii_goes_as_it_is_where_smtputf8_is_offered(
    either: SmtpServer, provider: SmtpProvider
) -> None:
    either.utf8 = True
    content = "To: иван@пример.example\r\n\r\nHello.\r\n".encode()
    assert deliver_one(provider, letter(recipient="иван@example.org", content=content)).outcome is Outcome.ACCEPTED
    assert deliver_one(provider, letter(2)).outcome is Outcome.ACCEPTED
    first, second = either.letters
    assert (first.recipient, first.parameters, first.content) == ("иван@example.org", "BODY=8BITMIME SMTPUTF8", content)
    assert second.parameters == ""


def test_an_address_that_is_not_ascii_is_refused_where_smtputf8_is_not_offered(
    server: SmtpServer, provider_of: Callable[..., SmtpProvider]
) -> None:
    sent = [letter(1, recipient="иван@example.org"), letter(2)]
    refused, taken = provider_of(server, connections=1).deliver(sent)
    assert (refused.outcome, refused.code, refused.about) == (Outcome.PERMANENT, 553, About.LETTER)
    assert refused.answer == "The mail service does not take addresses with letters outside ASCII (SMTPUTF8)."
    assert taken.outcome is Outcome.ACCEPTED
    assert server.commands["MAIL"] == 1


@pytest.mark.parametrize("utf8", [True, False])
def test_a_domain_that_is_not_ascii_goes_in_ascii(server: SmtpServer, provider: SmtpProvider, utf8: bool) -> None:
    server.utf8 = utf8
    assert deliver_one(provider, letter(recipient="ivan@пример.рф")).outcome is Outcome.ACCEPTED
    assert (server.letters[0].recipient, server.letters[0].parameters) == ("ivan@xn--e1afmkfd.xn--p1ai", "")


def test_a_session_that_refuses_letter_after_letter_is_left_before_it_becomes_slow(
    either: SmtpServer, provider_of: Callable[..., SmtpProvider]
) -> None:
    """As Postfix does after ten errors, where each refused letter is two."""
    for number in (*range(1, 13), 20, 22, 24, 26):
        either.always("rcpt", Say(550, "5.1.1 no such user"), recipient=f"client{number}@example.org")
    receipts = list(provider_of(either, connections=1).deliver(letters(30)))
    assert [receipt.outcome for receipt in receipts].count(Outcome.ACCEPTED) == 14
    assert either.connections_made == 4, "three times four in a row, and then no more"


def test_a_session_that_takes_nothing_is_left_for_another(
    either: SmtpServer, provider_of: Callable[..., SmtpProvider]
) -> None:
    """As Postfix's postscreen does with clients that it does not know yet."""
    either.once("rcpt", Say(450, "4.3.2 Service currently unavailable"))
    receipts = list(provider_of(either, connections=1).deliver(letters(3)))
    assert [receipt.outcome for receipt in receipts] == [Outcome.TEMPORARY, Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert receipts[0].doubtful
    assert either.connections_made == 2


def test_the_words_of_the_service_are_kept_readable_and_short(server: SmtpServer, provider: SmtpProvider) -> None:
    server.once("content", Raw(b"450-4.2.0 one\r\n450-\x1b[31mtwo\r\n450 \xff" + b"z" * 3000 + b"\r\n"))
    answer = deliver_one(provider).answer
    assert answer.startswith("4.2.0 one / \\x1b[31mtwo / \\xffzzz")
    assert len(answer.encode()) <= 1024


def test_the_null_sender_is_written_as_such(server: SmtpServer, provider: SmtpProvider) -> None:
    sent = letter()
    deliver_one(provider, Letter(1, 1, sent.key, "", sent.recipient, sent.content))
    assert server.letters[0].sender == ""


@pytest.mark.parametrize(
    "address",
    ["a@b\r\nRCPT TO:<c@d>", "a@b\n", "a@b> NOTIFY=NEVER", "<a@b", "a b@c", "", "ж\u2028@b", "ж @b", "ж\r\n@b", "ж>@b"],
)
def test_an_address_that_could_smuggle_a_command_is_no_letter(address: str) -> None:
    with pytest.raises(ValueError, match="recipient"):
        Letter(1, 1, "key@x", "a@b", address, b"")
    if address:
        with pytest.raises(ValueError, match="sender"):
            Letter(1, 1, "key@x", address, "a@b", b"")

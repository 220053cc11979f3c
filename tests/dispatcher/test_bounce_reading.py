"""What a mail that came back says, in the forms in which servers write it; and nothing where it says nothing."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.bounces.reading import LOOKED_AT, Mail
from tests.timing import in_time
from vestnik.mailings.ledger.models import BounceKind, EventKind

HARD, SOFT, POLICY = BounceKind.HARD, BounceKind.SOFT, BounceKind.POLICY


def report(action="failed", status="5.1.1", diagnostic="smtp; 550 5.1.1 <ann@example.org>: User unknown", head=""):
    """A report by RFC 3464, as most servers write it."""
    return (
        f"From: MAILER-DAEMON@mx.example.org\r\nSubject: Undelivered Mail Returned to Sender\r\n{head}"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nI'm sorry to have to tell you.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
        f"Final-Recipient: rfc822; ann@example.org\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: {diagnostic}\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: News\r\n--b--\r\n"
    ).encode()


def words(text, sender="Mail Delivery System <Mailer-Daemon@mx.example.org>", subject="Mail delivery failed", head=""):
    """A bounce in words alone."""
    return f"From: {sender}\r\nSubject: {subject}\r\n{head}\r\n{text}\r\n".encode()


def complaint(kind="abuse", head=""):
    """A report by RFC 5965."""
    return (
        f"From: feedback@example.org\r\nSubject: FW: News\r\n{head}"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n"
        f"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nUser-Agent: Loop/1.0\r\n"
        "Original-Mail-From: <return-abc@bounces.example.org>\r\n\r\n"
        "--b\r\nContent-Type: message/rfc822\r\n\r\n"
        "List-Unsubscribe: <mailto:stop-def@bounces.example.org>\r\n\r\nx\r\n"
        "--b--\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("status", "diagnostic", "kind", "code"),
    [
        ("5.1.1", "smtp; 550 5.1.1 <ann@example.org>: User unknown", HARD, "5.1.1"),
        ("5.0.0", "smtp; 550-5.1.1 The email account that you tried to reach does not exist.", HARD, "5.1.1"),
        ("5.1.10", "smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP address lookup", HARD, "5.1.10"),
        ("5.1.1", "smtp; 550 <ann@example.org>: Recipient address rejected: User unknown", HARD, "5.1.1"),
        ("5.1.1", "", HARD, "5.1.1"),
        ("5.2.1", "smtp; 550 5.2.1 The email account that you tried to reach is disabled.", HARD, "5.2.1"),
        ("5.2.2", "smtp; 552 5.2.2 The email account that you tried to reach is over quota", SOFT, "5.2.2"),
        ("4.4.7", "smtp; 451 4.4.7 delivery time expired", SOFT, "4.4.7"),
        ("4.4.1", "X-Postfix; connect to mx.example.org[192.0.2.1]:25: Connection timed out", SOFT, "4.4.1"),
        ("5.0.0", "smtp; 550 No such user here", SOFT, "5.0.0"),
        ("5.4.4", "X-Postfix; Host or domain name not found. Name service error for name=example.org", SOFT, "5.4.4"),
        ("5.7.1", "smtp; 554 5.7.1 Message rejected as spam by content scanning", POLICY, "5.7.1"),
        (
            "5.7.26",
            "smtp; 550-5.7.26 This mail has been blocked because the sender is unauthenticated",
            POLICY,
            "5.7.26",
        ),
        ("5.1.8", "smtp; 501 5.1.8 Sender address rejected: Domain not found", POLICY, "5.1.8"),
        ("5.0.0", "smtp; 554 Service unavailable; Client host [192.0.2.1] blocked using dnsbl", POLICY, "5.0.0"),
        ("5.3.4", "smtp; 552 5.3.4 Message size exceeds fixed limit", POLICY, "5.3.4"),
        ("5.6.0", "smtp; 554 5.6.0 Message content rejected", POLICY, "5.6.0"),
        ("5.2.3", "smtp; 552 5.2.3 Message length exceeds the mailbox's limit", POLICY, "5.2.3"),
        ("5.0.0", "smtp; 550 spam message rejected. Please visit http://help.mail.ru/notspam-support", POLICY, "5.0.0"),
        ("5.0.0", "smtp; 554 Message not allowed - [PH01] Email not accepted for policy reasons.", POLICY, "5.0.0"),
        ("5.0.0", "smtp; 550 Administrative prohibition", POLICY, "5.0.0"),
        ("5.0.0", "smtp; 550 Mail content denied", POLICY, "5.0.0"),
        ("5.0.0", "smtp; 554 Virus detected in message", POLICY, "5.0.0"),
        ("5.7.1", "smtp; 550 5.7.1 No such user!", HARD, "5.7.1"),
        ("5.0.0", "smtp; 550 Message was not accepted -- invalid mailbox. Local mailbox ann@mail.ru", HARD, "5.0.0"),
        ("5.0.0", "smtp; 554 delivery error: dd This user doesn't have a yahoo.com account", HARD, "5.0.0"),
        ("5.7.1", "smtp; 550 5.7.1 Policy rejection on the target address", POLICY, "5.7.1"),
    ],
)
def test_a_report_means_what_the_last_server_answered(status, diagnostic, kind, code):
    reading = Mail(report(status=status, diagnostic=diagnostic)).read()
    assert reading is not None
    assert (reading.kind, reading.bounce, reading.status) == (EventKind.BOUNCED, kind, code)


def test_the_answer_is_the_servers_words_on_one_line():
    reading = Mail(report(diagnostic="smtp; 550 5.1.1 <ann@example.org>:\r\n User unknown\x07")).read()
    assert reading.answer == "550 5.1.1 <ann@example.org>: User unknown"


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_a_report_of_anything_but_a_failure_says_nothing(action):
    assert Mail(report(action=action, status="4.4.1")).read() is None


@pytest.mark.parametrize(
    ("text", "head", "kind", "code"),
    [
        (
            "A message that you sent could not be delivered to one or more of its recipients. This is a permanent"
            " error. The following address(es) failed:\r\n\r\n  ann@example.org\r\n    host mx.example.org: 550 5.1.1"
            " <ann@example.org>... User unknown",
            "X-Failed-Recipients: ann@example.org\r\nAuto-Submitted: auto-replied\r\n", HARD, "5.1.1",
        ),
        ("ann@example.org: 550 5.1.1 https://support.example.org/answer gsmtp", "", HARD, "5.1.1"),
        ("ann@example.org: 452 4.2.2 Mailbox full", "", SOFT, "4.2.2"),
        ("The following address(es) failed:\r\n\r\n  ann@example.org\r\n    Unrouteable address", "", SOFT, ""),
    ],
)  # fmt: skip
def test_servers_that_know_no_reports_are_understood_by_their_words(text, head, kind, code):
    reading = Mail(words(text, head=head)).read()
    assert reading is not None
    assert (reading.bounce, reading.status) == (kind, code)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (report(action="failed (see below)"), HARD),
        (report(action="failure"), HARD),
        (words("host delayed.example.org: 550 5.1.1 <ann@example.org>... User unknown"), HARD),
        (words("451 greylisting, delayed for 300 seconds: retry timeout exceeded"), SOFT),
        (words("Mail server Postfix 2.11.3\r\nann@example.org: 550 5.1.1 User unknown"), HARD),
        (words("550 5.1.1 user unknown\r\n\r\n------ Исходное сообщение ------\r\n\r\nДоставим без задержек"), HARD),
        (words("550 5.1.1 user unknown\r\n\r\nBelow is a copy of the original message:\r\n\r\nSubject: warning"), HARD),
    ],
)
def test_a_word_or_a_number_beside_does_not_hide_a_bounce(source, kind):
    assert Mail(source).read().bounce is kind


@pytest.mark.parametrize("charset", ["koi8-r", "windows-1251", "utf-8"])
def test_words_are_read_in_their_alphabet(charset):
    def russian(text):
        head = f"From: MAILER-DAEMON@mx.example.ru\r\nContent-Type: text/plain; charset={charset}\r\n\r\n"
        return head.encode() + text.encode(charset)

    assert Mail(russian("Доставка письма задерживается, будут повторные попытки.")).read() is None
    assert Mail(russian("550 5.1.1 ящик не найден")).read().answer == "550 5.1.1 ящик не найден"


def test_letters_of_another_alphabet_in_a_report_are_kept():
    reading = Mail(report(diagnostic="smtp; 550 5.1.1 Пользователь не найден")).read()
    assert (reading.bounce, reading.answer) == (HARD, "550 5.1.1 Пользователь не найден")


def test_what_is_given_back_is_not_read_as_the_servers_words():
    text = "Unrouteable address\r\n\r\n------ This is a copy of the message ------\r\n\r\nOur code is 550 5.1.1!"
    assert Mail(words(text)).read().bounce is SOFT


@pytest.mark.parametrize(
    "source",
    [
        words("Your message has not yet been delivered. The mail server will keep trying.", subject="Warning: delayed"),
        words("No action is required on your part. Delivery attempts will continue for some time."),
        words("Ваше письмо пока не доставлено, задержка.", subject="Задержка доставки"),
        words("I am on holiday until 5.1.1.", sender="ann@example.org", head="Auto-Submitted: auto-replied\r\n"),
        words("I am on holiday.", sender="ann@example.org", head="X-Autoreply: yes\r\n"),
        words("I am away.", sender="postmaster@example.org", head="Auto-Submitted: auto-replied\r\n"),
        words("Мы попробуем доставить письмо ещё раз.", subject="Письмо пока не доставлено"),
        words("Ihre Nachricht wurde noch nicht zugestellt."),
        words("Your message was successfully delivered to ann@example.org."),
        report().replace(b"delivery-status", b"disposition-notification"),
        words("Thank you!", sender="ann@example.org", subject="Re: News"),
        complaint("auth-failure"),
        complaint("not-spam"),
        b"",
        b"\x00\xff" * 1000,
    ],
)
def test_delays_absences_and_thanks_say_nothing(source):
    assert Mail(source).read() is None


@pytest.mark.parametrize("kind", ["abuse", "Abuse", "fraud"])
def test_a_complaint_names_who_passed_it_on_and_the_letter_that_it_is_about(kind):
    mail = Mail(complaint(kind))
    reading = mail.read()
    assert (reading.kind, reading.bounce) == (EventKind.COMPLAINED, None)
    assert reading.answer == f"{kind.lower()} (Loop/1.0)"
    assert {"return-abc@bounces.example.org", "stop-def@bounces.example.org"} <= set(mail.addresses())


MIME = b"From: MAILER-DAEMON@x\nContent-Type: "
HEAVY = {
    "parts in parts": b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(300)),
    "letters in letters": b"Content-Type: message/rfc822\n\n" * 200 + b"\n" * LOOKED_AT,
    "newlines": MIME + b"text/plain\n\n" + b"\n" * LOOKED_AT,
    "newlines of a person": b"From: bob@x\n\n" + b" \n" * LOOKED_AT,
    "many parts": MIME + b"multipart/mixed; boundary=b\n\n" + b"--b\n\n" * LOOKED_AT,
    "many fields": MIME + b"message/delivery-status\n\n" + b"A: b\n\n" * LOOKED_AT,
    "a long kind": MIME + b'text/plain; x="' + b";" * LOOKED_AT,
    "a folded kind": MIME + b"text/plain;" + b"\n a=b;" * (LOOKED_AT // 6),
    "codes": MIME + b"text/plain\n\n" + b"5.1.1 " * LOOKED_AT,
    "addresses": b"Return-Path: " + b"a@b " * LOOKED_AT,
}


@pytest.mark.parametrize("name", HEAVY)
def test_what_was_made_to_be_thought_about_is_not(name):
    began = time.process_time()
    mail = Mail(HEAVY[name])
    mail.read()
    list(mail.addresses())
    in_time(time.process_time() - began, 3, name)


def test_a_report_is_read_at_the_beginning_of_what_is_large():
    assert Mail(report() + b"x" * (4 * LOOKED_AT)).read().bounce is HARD


@given(st.binary(max_size=2_000), st.integers(0, 600))
def test_nothing_that_comes_raises_anything(junk, place):
    right = report()
    for source in (junk, right[:place] + junk + right[place:], complaint()[:place] + junk):
        mail = Mail(source)
        mail.read()
        assert all("@" in address for address in mail.addresses())

"""Account mail on its way: against a real SMTP server, with the job called as a function."""

import logging
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
import redis
from django.conf import settings as configured
from django.core.mail import send_mail
from django.db import connection, connections, transaction
from django.db.models import F

from dispatcher.account_mail import settling, statements
from dispatcher.account_mail.sender import AccountMailSender
from dispatcher.providers.memory import MemoryProvider
from dispatcher.providers.smtp import SmtpProvider
from dispatcher.providers.url import SmtpConfig
from dispatcher.runs import ticking
from dispatcher.sending import doubts
from tests.scripted_servers import Drop, Say, SmtpServer
from tests.timing import wait_until
from vestnik import account_deletion, clock, sharing
from vestnik.accounts.letters import GIVE_UP_AFTER, AccountLetter
from vestnik.mailings import outages
from vestnik.testing.factories import make_message

SECRET = "https://vestnik.test/reset/secret"


@pytest.fixture(autouse=True)
def fast(settings, transactional_db, valkey):
    settings.EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"
    settings.RETRY_BASE_SECONDS = 0.05
    settings.PROBE_BACKOFF = [0.05, 0.1, 0.2]


@pytest.fixture
def service():
    with SmtpServer() as server:
        yield server
    assert server.violations == []


def smtp(service, connections=2):
    return SmtpProvider(SmtpConfig("127.0.0.1", service.port, connections=connections, timeout=5))


@pytest.fixture
def post_office(service):
    mail = AccountMailSender(smtp(service))
    yield mail
    mail.stop()


@contextmanager
def at_work(job):
    """The job in a thread of its own, until it ends."""

    def work():
        job()
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield thread
    thread.join(10)
    assert not thread.is_alive()


def write(*recipients):
    send_mail("Reset your password", SECRET, None, recipients or ["alice@example.org"])


def hints(queue="vestnik:control.DQ.msgs"):
    """The account-mail jobs that wait in the queue for their time."""
    bodies = redis.Redis.from_url(configured.REDIS_URL).hvals(queue)
    return sum(b'"account_mail"' in body for body in bodies)


def states():
    return list(AccountLetter.objects.order_by("id").values_list("state", flat=True))


def is_due():
    return AccountLetter.objects.filter(state="queued", due_at__lte=clock.now()).exists()


def shift(by, *fields):
    AccountLetter.objects.update(**{field: F(field) - by for field in fields})


def errors(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_a_letter_is_handed_over_and_its_content_is_gone(service, post_office):
    write()
    content = bytes(AccountLetter.objects.get().content)
    post_office.work()
    letter = AccountLetter.objects.get()
    (received,) = service.letters
    assert (received.sender, received.recipient) == ("herald@vestnik.test", "alice@example.org")
    assert received.message_id.strip("<>") == letter.key
    assert received.content == content
    assert SECRET.encode() in content
    assert (letter.state, letter.attempts, letter.code, bytes(letter.content)) == ("sent", 1, 250, b"")
    assert (letter.due_at, letter.claimed_at) == (None, None)
    assert letter.settled_at >= letter.created_at
    assert hints() == 0


def test_a_temporary_failure_is_tried_again_later_with_the_same_id(service, post_office, settings):
    settings.RETRY_BASE_SECONDS = 60
    service.once("rcpt", Say(451, "4.7.1 greylisted"))
    service.once("mid-content", Drop())
    write()
    key = AccountLetter.objects.get().key
    for attempts, code in ((1, 451), (2, None)):
        post_office.work()
        letter = AccountLetter.objects.get()
        assert (letter.state, letter.attempts, letter.code) == ("queued", attempts, code)
        assert letter.due_at > letter.created_at
        assert SECRET.encode() in bytes(letter.content)
        assert hints() == attempts
        assert not is_due()
        shift(timedelta(hours=1), "due_at")
    assert "connection broke" in letter.answer
    post_office.work()
    letter.refresh_from_db()
    assert (letter.state, letter.attempts, letter.code) == ("sent", 3, 250)
    assert [received.message_id.strip("<>") for received in service.letters] == [key]


def test_what_is_refused_for_good_is_a_dead_letter_and_logged_once_without_its_secrets(
    service, post_office, caplog, alice, bob
):
    service.always("rcpt", Say(550, "5.1.1 <bob@example.org>: no such user"), recipient="bob@example.org")
    write("alice@example.org", "bob@example.org")
    post_office.work()
    assert states() == ["sent", "failed"]
    letter = AccountLetter.objects.get(state="failed")
    assert (letter.attempts, letter.code, letter.answer) == (1, 550, "5.1.1 <bob@example.org>: no such user")
    assert bytes(letter.content) == b""
    assert errors(caplog) == [
        f"account letter {letter.pk} to somebody at example.org failed: 550 5.1.1 <b…@example.org>: no such user"
    ]
    post_office.work()
    settling.expire()
    assert len(errors(caplog)) == 1


def test_a_letter_is_a_dead_letter_when_its_attempts_are_used_up(service, post_office, settings, caplog):
    settings.MAX_ATTEMPTS, settings.RETRY_BASE_SECONDS = 2, 60
    service.always("rcpt", Say(451, "4.7.1 later"))
    write()
    for state in ("queued", "failed"):
        post_office.work()
        assert states() == [state]
        shift(timedelta(hours=1), "due_at")
    assert len(errors(caplog)) == 1
    assert bytes(AccountLetter.objects.get().content) == b""


def test_a_service_that_is_away_costs_no_attempt_and_is_asked_again_later(service, post_office):
    service.refuse()
    write("alice@example.org", "bob@example.org")
    for count in (1, 2):
        wait_until(is_due, 2)
        asked = clock.now()
        post_office.work()
        assert hints() == count
        for letter in AccountLetter.objects.all():
            assert (letter.state, letter.attempts, letter.claim) == ("queued", 0, 0)
            assert letter.due_at - asked >= timedelta(seconds=configured.PROBE_BACKOFF[count - 1])
    service.listen()
    wait_until(is_due, 2)
    post_office.work()
    assert states() == ["sent", "sent"]
    assert {letter.attempts for letter in AccountLetter.objects.all()} == {1}


def test_jobs_that_meet_a_service_that_is_away_leave_one_hint_each_and_no_more(service, post_office):
    service.refuse()
    write()
    for _ in range(5):
        post_office.work()
    assert hints() == 1


def test_two_jobs_at_once_send_every_letter_once(service, post_office):
    write(*(f"user{n}@example.org" for n in range(40)))
    other = AccountMailSender(smtp(service))
    with at_work(post_office.work), at_work(other.work), at_work(post_office.work):
        service.wait_for(40)
    other.stop()
    assert states() == ["sent"] * 40
    assert len({letter.recipient for letter in service.letters}) == len(service.letters) == 40


def test_a_letter_is_claimed_once_even_by_two_who_lost_the_lock(service):
    write()

    def claim():
        return statements.execute(statements.CLAIM, give_up_after=GIVE_UP_AFTER)

    claimed = []
    with transaction.atomic():
        assert len(claim()) == 1
        with at_work(lambda: claimed.extend(claim())):
            pass
    assert claimed == []


def test_while_a_service_hangs_a_second_job_returns_at_once(service, post_office):
    service.hold()
    write()
    with at_work(post_office.work) as first:
        service.wait_until(lambda: len(service.held) == 1)
        write("bob@example.org")
        with at_work(post_office.work) as second:
            second.join(1)
            assert not second.is_alive()
        assert first.is_alive()
        service.release()
    assert states() == ["sent", "sent"]


def test_no_transaction_is_open_while_the_service_is_talked_to(service, post_office):
    service.hold()
    write()
    with at_work(post_office.work):
        service.wait_until(lambda: len(service.held) == 1)
        with connection.cursor() as cursor:
            wait_until(lambda: open_transactions(cursor) == 0)  # a statement may just be running; they are short
        assert states() == ["sending"]
        service.release()


def open_transactions(cursor):
    """Return how many others have one."""
    cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
        " backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
    )
    return cursor.fetchone()[0]


def test_a_letter_stored_at_the_last_moment_is_not_forgotten():
    """Its own job finds the other one still at work; that one has just seen that nothing more is due."""

    class Slow(MemoryProvider):
        def deliver(self, letters):
            yield from super().deliver(letters)
            if len(self.letters) == 1:
                write("bob@example.org")
                with at_work(AccountMailSender(MemoryProvider()).work):
                    pass

    provider = Slow()
    write()
    AccountMailSender(provider).work()
    assert [letter.recipient for letter in provider.letters] == ["alice@example.org", "bob@example.org"]
    assert states() == ["sent", "sent"]


def test_what_a_dead_process_left_is_sent_again_with_the_same_id(service, post_office, caplog):
    write()
    statements.execute(statements.CLAIM, give_up_after=GIVE_UP_AFTER)
    redis.Redis.from_url(configured.REDIS_URL).flushdb()
    ticking.tick()
    post_office.work()
    assert states() == ["sending"], "it may be in good hands"
    assert hints("vestnik:control.msgs") == 0
    shift(statements.GRACE, "claimed_at")
    ticking.tick()
    assert hints("vestnik:control.msgs") == 1
    post_office.work()
    assert "in hand of a process that died" in caplog.text
    letter = AccountLetter.objects.get()
    assert (letter.state, letter.claim, letter.attempts) == ("sent", 2, 1)
    assert [received.message_id.strip("<>") for received in service.letters] == [letter.key]


def test_the_tick_hints_at_what_is_due_and_only_then(service):
    ticking.tick()
    write()
    redis.Redis.from_url(configured.REDIS_URL).flushdb()
    shift(timedelta(hours=-1), "due_at")
    ticking.tick()
    assert hints("vestnik:control.msgs") == 0
    shift(timedelta(hours=1), "due_at")
    ticking.tick()
    assert hints("vestnik:control.msgs") == 1


def test_a_process_that_lost_the_lock_keeps_what_it_has_in_hand(service, post_office):
    service.hold()
    write()
    with at_work(post_office.work):
        service.wait_until(lambda: len(service.held) == 1)
        lose_the_lock()
        shift(statements.GRACE, "claimed_at")
        write("bob@example.org")
        with at_work(post_office.work):
            service.wait_until(lambda: len(service.held) == 2)
            service.release()
    assert states() == ["sent", "sent"]
    assert {letter.claim for letter in AccountLetter.objects.all()} == {1}
    assert sorted(letter.recipient for letter in service.letters) == ["alice@example.org", "bob@example.org"]


def lose_the_lock():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " JOIN pg_database ON pg_database.oid = database AND datname = current_database()"
            " WHERE locktype = 'advisory'"
        )
        assert cursor.fetchall() == [(True,)]


def test_a_connection_that_breaks_between_two_letters_is_come_back_from(post_office, service, monkeypatch):
    write("alice@example.org", "bob@example.org")
    execute, claims = statements.execute, []

    def breaking(statement, **parameters):
        if statement == statements.CLAIM:
            claims.append(statement)
            if len(claims) == 2:
                with at_work(lose_the_lock):
                    pass
        return execute(statement, **parameters)

    monkeypatch.setattr(statements, "execute", breaking)
    with at_work(post_office.work):
        pass
    assert hints() == 1
    with at_work(post_office.work):
        pass
    assert states() == ["sent", "sent"]
    assert len(service.letters) == 2


@pytest.mark.parametrize(
    ("refusal", "end"), [(None, "sent"), (Say(550, "5.1.1 no such user"), "failed"), (Say(450, "later"), "queued")]
)
def test_a_late_receipt_for_good_ends_a_letter_that_was_queued_again(service, refusal, end):
    provider = smtp(service, connections=1)  # a second one would take what is queued again
    service.hold()
    if refusal:
        service.once("content", refusal)
    write()
    with at_work(AccountMailSender(provider).work):
        service.wait_until(lambda: len(service.held) == 1)
        statements.execute(statements.RESCUE, grace=timedelta(), in_hand=[])  # elsewhere, by who has the lock
        assert states() == ["queued"]
        shift(timedelta(hours=-1), "due_at")
        service.release()
    assert states() == [end]
    provider.close()
    assert AccountLetter.objects.get().attempts == (0 if end == "queued" else 1)


def test_a_receipt_waits_for_a_database_that_is_away(service, caplog):
    post_office = AccountMailSender(smtp(service, connections=1))
    service.hold()
    write()
    with at_work(post_office.work):
        service.wait_until(lambda: len(service.held) == 1)
        lose_the_lock()
        service.release()
    assert states() == ["sent"]
    assert len(service.letters) == 1
    assert "waits for the database" in caplog.text
    assert hints() == 1  # for whatever the job could not look for
    write("bob@example.org")
    post_office.work()
    assert states() == ["sent", "sent"]
    post_office.stop()


def test_a_letter_is_given_up_after_three_days(service, post_office, caplog):
    write()
    shift(timedelta(days=3), "created_at", "due_at")
    post_office.work()
    assert states() == ["queued"]
    assert service.letters == []
    settling.expire()
    letter = AccountLetter.objects.get()
    assert (letter.state, bytes(letter.content)) == ("expired", b"")
    assert len(errors(caplog)) == 1
    assert "at example.org expired" in errors(caplog)[0]


def test_a_letter_is_not_tried_again_beyond_its_three_days(service, post_office, settings):
    settings.RETRY_BASE_SECONDS = 60
    service.always("rcpt", Say(451, "4.7.1 later"))
    write()
    shift(timedelta(days=3) - timedelta(seconds=30), "created_at", "due_at")
    post_office.work()
    letter = AccountLetter.objects.get()
    assert (letter.state, letter.attempts, bytes(letter.content)) == ("expired", 1, b"")


def test_a_process_that_stops_writes_down_what_it_cuts_off(service, post_office):
    service.hold()
    write("alice@example.org", "bob@example.org", "carol@example.org")
    with at_work(post_office.work):
        service.wait_until(lambda: len(service.held) == 1)
        post_office.stop()
        assert "sending" not in states()
    assert {letter.attempts for letter in AccountLetter.objects.all()} == {0, 1}
    post_office.work()
    assert states().count("queued") == 3


@pytest.mark.parametrize("end", ["sent", "failed", "expired"])
def test_a_letter_that_ends_when_nobody_has_its_address_any_more_says_nothing_of_anybody(
    service, post_office, alice, bob, end
):
    if end == "failed":
        service.always("rcpt", Say(550, "5.1.1 alice@example.org: no such user"))
    service.hold()
    write("alice@example.org", "bob@example.org")
    with at_work(post_office.work):
        if end != "failed":
            service.wait_until(lambda: len(service.held) == 1)
            account_deletion.delete_account(alice)
        else:
            alice.email = "elsewhere@example.org"
            alice.save()
        service.release()
    if end == "expired":
        write()
        shift(timedelta(days=3), "created_at", "due_at")
        settling.expire()
    gone = AccountLetter.objects.exclude(recipient="bob@example.org")
    assert set(gone.values_list("recipient", "subject", "answer")) == {("", "", "")}
    assert end in gone.values_list("state", flat=True)
    kept = AccountLetter.objects.get(recipient="bob@example.org")
    assert (kept.subject, kept.code) == ("Reset your password", 550 if end == "failed" else 250)


def test_what_was_queued_for_a_deleted_account_is_never_sent(service, post_office, alice):
    write()
    account_deletion.delete_account(alice)
    post_office.work()
    letter = AccountLetter.objects.get()
    assert service.letters == []
    assert (letter.state, letter.recipient, letter.subject, bytes(letter.content)) == ("expired", alice.email, "", b"")


def test_some_addresses_that_are_refused_in_doubt_halt_nobody_at_the_next_job(service, post_office, monkeypatch):
    """People sign up with addresses whose servers do not want us; the next letter comes hours later."""
    monkeypatch.setattr(doubts, "QUIET", 0.1)
    wrong = [f"user{number}@example.org" for number in range(doubts.FEW + 3)]
    for address in wrong:
        service.always("rcpt", Say(550, "5.7.1 this person wants no mail"), recipient=address)
    write(*wrong)
    post_office.work()
    refused = time.monotonic()
    shift(timedelta(hours=-5), "due_at")
    write()
    wait_until(lambda: time.monotonic() > refused + 2 * doubts.QUIET)
    post_office.work()
    assert outages.current() is None
    assert states() == ["queued"] * len(wrong) + ["sent"]


def shared(by, level="view"):
    sharing.share(make_message(by), by, "stranger@example.net", level)


def test_a_stranger_is_written_to_so_often_a_day_however_fast_the_letters_go(
    service, post_office, alice, bob, settings
):
    settings.INVITATIONS_PER_ADDRESS = 3
    write("stranger@example.net")  # a password reset, say: whatever we write counts
    post_office.work()
    for number in range(6):
        shared(alice if number % 2 else bob)
        post_office.work()
    assert len(service.letters) == 3
    assert set(AccountLetter.objects.values_list("state", "recipient")) == {("sent", "")}

    shift(timedelta(hours=25), "created_at", "settled_at")
    shared(alice)
    post_office.work()
    assert len(service.letters) == 4


def test_who_raises_and_lowers_a_share_writes_to_a_stranger_so_often_a_day(service, post_office, alice, settings):
    settings.INVITATIONS_PER_ADDRESS = 3
    message = make_message(alice)
    for number in range(8):
        sharing.share(message, alice, "stranger@example.net", "edit" if number % 2 else "view")
        post_office.work()
    assert len(service.letters) == 3


def test_to_whom_letters_went_is_forgotten_when_they_count_no_longer(service, post_office):
    write("stranger@example.net", "another@example.net")
    keys = AccountLetter.objects.values_list("recipient_key", flat=True)
    assert len(set(keys)) == 2
    post_office.work()
    settling.expire()
    assert None not in keys.all()
    shift(timedelta(hours=25), "created_at", "settled_at")
    settling.expire()
    assert set(keys.all()) == {None}

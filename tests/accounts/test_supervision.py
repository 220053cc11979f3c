import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email import message_from_bytes

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client as Browser
from django.utils import timezone

from vestnik import access, jobs, sharing, supervision
from vestnik.accounts import groups
from vestnik.accounts.models import AccountLetter, AuditEntry, User
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.models import Mailing
from vestnik.testing.factories import make_mailing, make_message, shift

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _real_mail(settings):
    settings.EMAIL_BACKEND = "vestnik.accounts.mail.EmailBackend"


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root@example.org", "a long password", full_name="Root")


@pytest.fixture
def mark(db):
    """He manages beside Maria."""
    user = User.objects.create_user("mark@example.org", "a long password", full_name="Mark Manager")
    user.groups.add(Group.objects.get(name=groups.MANAGERS))
    return user


@pytest.fixture
def mailing(alice):
    return make_mailing(alice, 2, name="Autumn sale")


def letter():
    """The one account letter there is: to whom, its subject, its text."""
    stored = AccountLetter.objects.latest("pk")
    text = message_from_bytes(bytes(stored.content)).get_payload(decode=True).decode()
    return stored.recipient, stored.subject, text


def entries():
    return [
        (entry.action, entry.actor_address, entry.kind, entry.object_id, entry.person_address)
        for entry in AuditEntry.objects.order_by("pk")
    ]


def hints(monkeypatch):
    enqueued = []
    monkeypatch.setattr(jobs.Job, "enqueue", lambda job, *args, delay=None: enqueued.append((job.name, *args)))
    return enqueued


def test_switching_off_stops_the_mailing_tells_the_owner_and_is_written_down(alice, maria, mailing):
    supervision.switch_off(mailing, maria, "  Complaints <b>came</b>\r\nthrice ", "192.0.2.1")
    mailing.refresh_from_db()
    assert mailing.hold == "switched off"
    assert (mailing.switched_off_by, mailing.switched_off_reason) == (maria, "Complaints <b>came</b>\nthrice")
    assert entries() == [("switched off", maria.email, "mailing", mailing.pk, alice.email)]
    entry = AuditEntry.objects.get()
    assert (entry.label, entry.from_address, entry.reason) == (
        "Autumn sale", "192.0.2.1", "Complaints <b>came</b>\nthrice",
    )  # fmt: skip
    recipient, subject, text = letter()
    assert (recipient, subject) == (alice.email, "Your mailing “Autumn sale” was switched off")
    assert "By: Мария Менеджер" in text
    assert "Why: Complaints <b>came</b>" in text
    assert maria.email not in text


def test_switching_on_lets_it_go_on(alice, maria, mailing, monkeypatch, django_capture_on_commit_callbacks):
    supervision.switch_off(mailing, maria, "Complaints")
    enqueued = hints(monkeypatch)
    with django_capture_on_commit_callbacks(execute=True):
        supervision.switch_on(mailing, maria)
    mailing.refresh_from_db()
    assert (mailing.hold, mailing.switched_off_by, mailing.switched_off_reason) == ("", None, "")
    assert {("launch", mailing.pk), ("wake", alice.pk), ("account_mail",)} <= set(enqueued)
    assert [entry[0] for entry in entries()] == ["switched off", "switched on"]
    assert letter()[1] == "Your mailing “Autumn sale” was switched on"


def test_a_russian_is_written_to_in_russian_and_by_their_own_clock(alice, maria, mailing):
    User.objects.filter(pk=alice.pk).update(language="ru", time_zone="Asia/Vladivostok")
    supervision.switch_off(mailing, maria, "Жалобы")
    _, subject, text = letter()
    assert subject == "Ваша рассылка «Autumn sale» отключена"
    assert "Почему: Жалобы" in text
    at = AuditEntry.objects.get().at
    hour = (at + timedelta(hours=10)).hour
    assert f" {hour:02}:{at.minute:02}" in text
    supervision.block(alice, maria, "Спам")
    assert letter()[1] == "Ваша учётная запись заблокирована"


def test_a_manager_without_a_name_is_a_manager(maria, mailing):
    User.objects.filter(pk=maria.pk).update(full_name="")
    supervision.switch_off(mailing, User.objects.get(pk=maria.pk), "Complaints")
    assert "By: a manager" in letter()[2]


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 1001, "x" * 10_000, "a\x00b"])
def test_a_reason_is_wanted_and_not_a_novel(alice, maria, mailing, reason):
    for pull, what in ((supervision.switch_off, mailing), (supervision.block, alice)):
        with pytest.raises(ValidationError) as refusal:
            pull(what, maria, reason)
        assert set(refusal.value.message_dict) == {"reason"}
    assert not AuditEntry.objects.exists()
    assert not AccountLetter.objects.exists()
    supervision.switch_off(mailing, maria, "x" * 998 + "\r\n" + "x")


def test_none_but_managers_and_superusers_pull_the_actions(alice, bob, mark, mailing, root):
    User.objects.filter(pk=mark.pk).update(is_active=False)
    for nobody in (alice, bob, User.objects.get(pk=mark.pk)):
        for pull in (
            lambda by: supervision.switch_off(mailing, by, "why"),
            lambda by: supervision.switch_on(mailing, by),
            lambda by: supervision.block(root if by == bob else bob, by, "why"),
            lambda by: supervision.unblock(bob, by),
        ):
            with pytest.raises(ValidationError, match="Only managers and administrators"):
                pull(nobody)
    assert not AuditEntry.objects.exists()
    supervision.switch_off(mailing, root, "why")


def test_blocking_ends_every_session_and_unblocking_revives_none(alice, maria):
    browsers = [Browser() for _ in range(2)]
    for browser in browsers:
        browser.force_login(alice)
        assert browser.get("/profile/").status_code == 200
    supervision.block(alice, maria, "Spam", "192.0.2.1")
    assert [browser.get("/profile/").status_code for browser in browsers] == [302, 302]
    supervision.unblock(alice, maria)
    assert [browser.get("/profile/").status_code for browser in browsers] == [302, 302]
    alice.refresh_from_db()
    browsers[0].force_login(alice)
    assert browsers[0].get("/profile/").status_code == 200


def test_a_session_that_nobody_used_while_its_owner_was_blocked_is_dead_too(alice, maria):
    browser = Browser()
    browser.force_login(alice)
    supervision.block(alice, maria, "Spam")
    supervision.unblock(alice, maria)
    assert browser.get("/profile/").status_code == 302


def test_blocking_is_told_and_written_down(alice, maria):
    supervision.block(alice, maria, "Spam", "192.0.2.1")
    supervision.unblock(alice, maria, "192.0.2.2")
    about = ("user", alice.pk, alice.email)
    assert entries() == [("blocked", maria.email, *about), ("unblocked", maria.email, *about)]
    assert list(AuditEntry.objects.order_by("pk").values_list("from_address", "label")) == [
        ("192.0.2.1", "Alice Archer"),
        ("192.0.2.2", "Alice Archer"),
    ]
    blocked, unblocked = AccountLetter.objects.order_by("pk")
    assert (blocked.recipient, blocked.subject) == (alice.email, "Your account was blocked")
    assert unblocked.subject == "Your account was unblocked"


def test_neither_oneself_nor_a_manager_nor_a_superuser_is_blocked_by_a_manager(maria, mark, root):
    with pytest.raises(ValidationError, match="cannot block yourself"):
        supervision.block(maria, maria, "why")
    for person in (mark, root):
        with pytest.raises(ValidationError, match="cannot be blocked by a manager"):
            supervision.block(person, maria, "why")
    with pytest.raises(ValidationError, match="cannot block yourself"):
        supervision.block(root, root, "why")
    supervision.block(mark, root, "why")
    with pytest.raises(ValidationError, match="cannot be unblocked by a manager"):
        supervision.unblock(mark, maria)
    supervision.unblock(mark, root)


def test_a_deleted_account_is_not_blocked(alice, maria):
    User.objects.filter(pk=alice.pk).update(deleted_at=timezone.now())
    with pytest.raises(ValidationError, match="deleted"):
        supervision.block(alice, maria, "why")


def test_a_deleted_mailing_is_not_switched(mailing, maria):
    Mailing.objects.all().delete()
    with pytest.raises(ValidationError, match="deleted"):
        supervision.switch_off(mailing, maria, "why")


def test_the_second_is_told_who_was_first(alice, maria, mark, mailing):
    for pull, what, reason in (
        (supervision.switch_off, mailing, ["why"]),
        (supervision.switch_on, mailing, []),
        (supervision.block, alice, ["why"]),
        (supervision.unblock, alice, []),
    ):
        pull(what, maria, *reason)
        with pytest.raises(ValidationError, match=r"maria@example\.org has done this already: .*20\d\d"):
            pull(what, mark, *reason)
    assert AuditEntry.objects.count() == AccountLetter.objects.count() == 4


def test_what_nobody_has_done_was_done_by_nobody(bob, maria, mailing):
    with pytest.raises(ValidationError, match="switched on already"):
        supervision.switch_on(mailing, maria)
    with pytest.raises(ValidationError, match="not blocked"):
        supervision.unblock(bob, maria)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["switch_off", "block"])
def test_of_two_managers_at_once_one_does_it(alice, maria, mark, mailing, action):
    together = threading.Barrier(2)
    what = {"switch_off": mailing, "block": alice}[action]

    def pull(by):
        together.wait(10)
        try:
            getattr(supervision, action)(what, by, f"{by.full_name} says so")
        except ValidationError as refusal:
            return refusal.messages[0]
        finally:
            connection.close()
        return ""

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(pull, [maria, mark]))
    entry = AuditEntry.objects.get()
    assert sorted(map(bool, said)) == [False, True]
    assert f"{entry.actor_address} has done this already" in max(said)
    assert AccountLetter.objects.count() == 1
    if action == "block":
        alice.refresh_from_db()
        assert alice.sessions_from == 1


@pytest.mark.django_db(transaction=True)
def test_superusers_who_block_each_other_at_once_do_not_both_succeed(root):
    other = User.objects.create_superuser("other@example.org", "a long password")
    together = threading.Barrier(2)

    def pull(pair):
        together.wait(10)
        try:
            supervision.block(*pair, "why")  # type: ignore[call-arg]
        except ValidationError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(pull, [(root, other), (other, root)])) == [False, True]
    assert User.objects.filter(is_active=True).count() == 1


def test_nobody_changes_or_deletes_what_the_audit_log_says(alice, maria):
    supervision.block(alice, maria, "Spam")
    entry = AuditEntry.objects.get()
    for change in (
        entry.delete,
        entry.save,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(reason=""),
        lambda: AuditEntry.objects.all()._raw_delete("default"),
    ):
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            change()
    assert AuditEntry.objects.get().reason == "Spam"


def test_what_failed_left_no_trace(alice, maria, mailing, monkeypatch):
    def fails(*_args):
        raise RuntimeError

    monkeypatch.setattr(supervision, "send_mail", fails)
    with pytest.raises(RuntimeError):
        supervision.switch_off(mailing, maria, "why")
    mailing.refresh_from_db()
    assert not mailing.switched_off_at
    assert not AuditEntry.objects.exists()


def test_unblocking_hints_at_what_is_due(alice, bob, maria, monkeypatch, django_capture_on_commit_callbacks):
    due = make_mailing(alice, 1)
    asked = make_mailing(alice, 1, start=timezone.now() + DAY, end=timezone.now() + 2 * DAY)
    later = make_mailing(alice, 1, start=timezone.now() + DAY, end=timezone.now() + 2 * DAY)
    foreign = make_mailing(bob, 1)
    verbs.send_now(asked)
    supervision.block(alice, maria, "Spam")
    enqueued = hints(monkeypatch)
    with django_capture_on_commit_callbacks(execute=True):
        supervision.unblock(alice, maria)
    launched = {number for name, *numbers in enqueued if name == "launch" for number in numbers}
    assert launched == {due.pk, asked.pk}
    assert not launched & {later.pk, foreign.pk}
    assert ("wake", alice.pk) in enqueued


def test_an_occurrence_whose_window_closed_while_its_owner_was_blocked_was_skipped_not_missed(alice, maria):
    now = timezone.now()
    mailing = make_mailing(alice, 1, start=now + DAY / 2, end=now + 9 * DAY, periodicity="daily")
    supervision.block(alice, maria, "Spam")
    shift(mailing, 2 * DAY)
    supervision.unblock(alice, maria)
    mailing = Mailing.objects.get()
    runs.record_passed(mailing, timezone.now())
    run = Run.objects.get()
    assert (run.state, run.reason) == ("skipped", "paused, switched off or blocked")


def test_the_unblocked_get_what_was_shared_with_them_meanwhile(alice, bob, maria):
    message = make_message(alice)
    supervision.block(bob, maria, "Spam")
    sharing.share(message, alice, bob.email, "view")
    supervision.unblock(bob, maria)
    assert access.may(User.objects.get(pk=bob.pk), "view", message)

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Permission
from django.core.exceptions import ValidationError
from django.db import connection

from vestnik import access, account_deletion, jobs
from vestnik.accounts.models import AccountLetter, User
from vestnik.clients.models import Client
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run
from vestnik.testing.factories import make_mailing


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root@example.org", "a long password")


def test_a_deleted_account_can_do_nothing_and_says_nothing_of_its_owner(alice):
    mailing = make_mailing(alice, 2)
    alice.user_permissions.add(Permission.objects.first())
    account_deletion.delete_account(alice)
    left = User.objects.get(pk=alice.pk)
    assert authenticate(email="alice@example.org", password="a long password") is None
    assert not left.has_usable_password()
    assert not access.may(left, "view", mailing)
    assert (left.is_active, left.full_name, left.user_permissions.count()) == (False, "", 0)
    assert left.deleted_at is not None
    assert "alice" not in left.email
    left.full_clean(exclude=["password"])


def test_a_deleted_manager_is_none_any_more(maria):
    account_deletion.delete_account(maria)
    assert not User.objects.get(pk=maria.pk).is_manager


def test_the_address_of_a_deleted_account_is_free_at_once(alice):
    account_deletion.delete_account(alice)
    again = User.objects.create_user("alice@example.org", "another password")
    account_deletion.delete_account(again)
    assert User.objects.filter(deleted_at__isnull=False).count() == 2


def test_open_runs_of_a_deleted_account_are_cancelled_and_those_of_others_are_not(alice, bob):
    for owner in (alice, bob):
        mailing = make_mailing(owner, 2)
        runs.open_run(mailing, mailing.end)
    account_deletion.delete_account(alice)
    assert Run.objects.get(owner_id=alice.pk).cancelled_at
    assert not Run.objects.get(owner_id=bob.pk).cancelled_at


def test_what_it_owned_is_left_to_the_dispatcher(alice, monkeypatch, django_capture_on_commit_callbacks):
    make_mailing(alice, 2)
    enqueued = []
    monkeypatch.setattr(jobs.Job, "enqueue", lambda job, *args, delay=None: enqueued.append((job.name, args, delay)))
    with django_capture_on_commit_callbacks(execute=True):
        account_deletion.delete_account(alice)
    assert enqueued == [("erase", (alice.pk,), None)]
    assert Client.objects.filter(owner=alice).count() == 2
    assert account_deletion.deleted_accounts() == [alice.pk]


def test_an_account_that_is_deleted_twice_is_deleted_once(alice, monkeypatch, django_capture_on_commit_callbacks):
    other_page = User.objects.get(pk=alice.pk)
    with django_capture_on_commit_callbacks() as hints:
        account_deletion.delete_account(alice)
        account_deletion.delete_account(other_page)
    assert len(hints) == 1
    assert User.objects.get(pk=alice.pk).email == alice.email


def test_account_mail_is_not_sent_any_more_and_no_longer_says_to_whom(alice):
    for settled_at, content in ((alice.date_joined, b""), (None, b"x")):
        AccountLetter.objects.create(
            recipient=alice.email,
            subject="Alice, confirm",
            content=content,
            key=content.decode(),
            state="queued" if content else "sent",
            settled_at=settled_at,
            **({} if content else {"due_at": None}),
        )
    account_deletion.delete_account(alice)
    assert set(AccountLetter.objects.values_list("state", "recipient", "subject")) == {
        ("sent", alice.email, ""),
        ("expired", alice.email, ""),
    }


def test_the_last_superuser_stays(root, bob):
    User.objects.create_superuser("blocked@example.org", "a long password", is_active=False)
    with pytest.raises(ValidationError, match="last administrator"):
        account_deletion.delete_account(root)
    assert User.objects.get(pk=root.pk).is_active
    account_deletion.delete_account(bob)


def test_a_superuser_with_another_beside_may_go(root):
    second = User.objects.create_superuser("second@example.org", "a long password")
    account_deletion.delete_account(root)
    with pytest.raises(ValidationError):
        account_deletion.delete_account(second)


@pytest.mark.django_db(transaction=True)
def test_of_the_last_two_superusers_who_leave_at_once_one_stays(root):
    both = [root, User.objects.create_superuser("second@example.org", "a long password")]
    together = threading.Barrier(2)

    def leave(user):
        together.wait(10)
        try:
            account_deletion.delete_account(user)
        except ValidationError:
            return False
        finally:
            connection.close()
        return True

    for _ in range(5):
        User.objects.update(is_active=True, is_superuser=True, deleted_at=None)
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(leave, both)) == [False, True]
        assert User.objects.filter(is_superuser=True, is_active=True).count() == 1

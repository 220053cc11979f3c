import uuid
from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
import redis
from django.apps import apps
from django.conf import settings as configured
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Sum
from guardian.shortcuts import assign_perm

from dispatcher import account_erasure
from dispatcher.ledger import statements
from dispatcher.providers import memory
from dispatcher.runs import launching, ticking
from tests.dispatcher.test_sending import launched, slice_of
from tests.elsewhere import elsewhere
from vestnik import access, locks
from vestnik import account_deletion as core
from vestnik.accounts import idempotency
from vestnik.accounts.models import Submission, User
from vestnik.clients import suppressions
from vestnik.clients.models import Client, ClientList, Membership, Suppression
from vestnik.clients.suppressions import SuppressionReason
from vestnik.clients.uploads import ClientImport, ImportPiece
from vestnik.mailings import verbs
from vestnik.mailings.ledger.models import Attempt, Run, RunState, Tally
from vestnik.mailings.models import Mailing, Message
from vestnik.testing.factories import make_clients, make_list, make_mailing, make_message

# What refers to a user or to a user's things, and goes another way than by the tables of `vestnik.account_deletion`.
OTHERWISE = {
    (Mailing, "owner"): "deleted with its launches locked out",
    (Mailing, "switched_off_by"): "set to NULL: the mailing is somebody else's",
    (Mailing, "message"): "own mailings go before messages; others' get a copy",
    (Run, "mailing"): "set to NULL: the run stays",
    (ClientImport, "client_list"): "imports go before lists",
    (Suppression, "client_list"): "suppressions go before lists, by their owner, who is the list's",
    (Membership, "client"): "memberships go by their list, which has the same owner",
    (Mailing.clients.through, "client"): "goes by the mailing, which has the same owner",
    (Mailing.lists.through, "clientlist"): "goes by the mailing, which has the same owner",
}
OWNED = (Client, ClientList, Message, Mailing, ClientImport)
COUNTED = ("sent", "failed", "expired", "cancelled", "unknown", "attempts")


def core_models():
    """The models the dispatcher knows; the web's own are the web's to delete."""
    ours = [app for app in apps.get_app_configs() if app.name.startswith("vestnik.") or app.name == "guardian"]
    return [model for app in ours for model in app.get_models(include_auto_created=True)]


def in_the_world_of(owner, other):
    """Everything somebody can own, share, be granted and be named in; the mailing that was sent."""
    sent = make_mailing(owner, 5, name="Sent", clients=make_clients(owner, 2))
    shared = make_message(owner, subject="Shared")
    for thing in (sent, sent.message, shared, sent.lists.get()):
        assign_perm(f"view_{thing._meta.model_name}", other, thing)
        assign_perm(f"view_{thing._meta.model_name}", Group.objects.get_or_create(name="team")[0], thing)
    others = make_mailing(other, 3, name="Other's", message=shared)
    for thing in (others, others.lists.get(), make_message(other)):
        assign_perm(f"view_{thing._meta.model_name}", owner, thing)
    assign_perm("view_client", owner, Client.objects.filter(owner=other).first())
    owner.groups.add(Group.objects.get(name="team"))
    verbs.switch_off(others, owner, "why not")
    upload = ClientImport.objects.create(owner=owner, client_list=sent.lists.get(), file_name="clients.csv", reason="")
    ImportPiece.objects.create(client_import=upload, kind="source", number=0, data=b"email")
    idempotency.run_once(owner, uuid.uuid4(), lambda: "/lists/1/")
    suppressions.suppress(owner.pk, ["bob@example.com"], SuppressionReason.UNSUBSCRIBED)
    suppressions.suppress(
        owner.pk, ["bob@example.com"], SuppressionReason.UNSUBSCRIBED, lists=sent.lists.values_list("pk", flat=True)
    )
    return sent


def ledger_of(run):
    """What is counted of a run: letters and attempts by what became of them, tallies."""
    return (
        Counter(run.deliveries.values_list("state", "client_id")),
        Counter(Attempt.objects.filter(delivery__run=run).values_list("outcome", "code")),
        Tally.objects.filter(run=run).aggregate(*map(Sum, COUNTED)),
        Run.objects.filter(pk=run.pk).values("state", "total", "opened_at", "finished_at", "owner_id").get(),
    )


def hints(queue):
    broker = redis.Redis.from_url(configured.REDIS_URL)
    return sum(b'"erase"' in body for body in broker.hvals(f"vestnik:{queue}.msgs"))


def test_all_that_refers_to_an_account_or_to_its_things_is_erased():
    listed = {(model, way.partition("__")[0]) for model, way in (*core.OF_MAILINGS, *core.OF_ACCOUNT)}
    referring = {
        (model, field.name)
        for model in core_models()
        for field in model._meta.concrete_fields
        if field.remote_field and field.remote_field.model in (User, *OWNED)
    }
    assert not referring - listed - OTHERWISE.keys()
    assert not OTHERWISE.keys() - referring


def test_nothing_of_a_deleted_account_is_left_but_the_ledgers_numbers(alice, bob, engine, provider):
    run = launched(in_the_world_of(alice, bob))
    first, second = run.deliveries.order_by("pk")[:2]
    provider.answers(first.address, memory.PERMANENT)
    provider.answers(second.address, memory.TEMPORARY)
    slice_of(engine, alice)
    run.refresh_from_db()
    assert run.state == RunState.OPEN  # one letter is to be tried again
    core.delete_account(alice)
    Run.objects.filter(pk=run.pk).update(sender_name="Alice Archer")
    account_erasure._end_runs(alice.pk)
    before = ledger_of(run)
    account_erasure.erase(alice.pk)
    assert ledger_of(run) == before
    assert {state for state, _ in before[0]} == {"sent", "failed", "cancelled"}
    assert not User.objects.filter(pk=alice.pk).exists()
    for model in core_models():
        for field in model._meta.concrete_fields:
            if field.remote_field and field.remote_field.model is User:
                assert not model._base_manager.filter(**{field.name: alice.pk}).exists(), (model, field)
    assert not ImportPiece.objects.exists()
    run.refresh_from_db()
    assert (run.subject, run.html, run.text, run.sender_name, run.reply_to) == ("", "", "", "", "")
    assert set(run.deliveries.values_list("address", flat=True)) == {""}
    assert set(Attempt.objects.values_list("answer", flat=True)) == {""}


def test_nothing_of_others_is_touched(alice, bob, engine, provider):
    in_the_world_of(alice, bob)
    run = launched(make_mailing(bob, 3))
    slice_of(engine, bob)
    mailings = Mailing.objects.filter(owner=bob).count()
    core.delete_account(alice)
    account_erasure.erase(alice.pk)
    run.refresh_from_db()
    assert run.subject == "News"
    assert "" not in run.deliveries.values_list("address", flat=True)
    assert "" not in Attempt.objects.values_list("answer", flat=True)
    assert Mailing.objects.filter(owner=bob).count() == mailings == 2
    assert Client.objects.filter(owner=bob).count() == Membership.objects.count() == 6
    assert access.may(User.objects.get(pk=bob.pk), "change", Mailing.objects.get(name="Other's"))


def test_a_shared_message_stays_with_those_whose_mailings_use_it(alice, bob):
    shared = make_message(alice, subject="Shared")
    assign_perm("view_message", bob, shared)
    mailings = [make_mailing(bob, message=shared) for _ in range(2)]
    core.delete_account(alice)
    account_erasure.erase(alice.pk)
    (copy,) = Message.objects.all()
    assert (copy.owner, copy.subject, copy.text) == (bob, "Shared", shared.text)
    assert access.may(User.objects.get(pk=bob.pk), "change", copy)
    for mailing in mailings:
        mailing.refresh_from_db()
        assert mailing.message == copy


def test_an_account_that_lives_is_never_erased(alice):
    make_list(alice, 2)
    account_erasure.erase(alice.pk)
    assert Client.objects.filter(owner=alice).count() == 2


def test_letters_in_hand_are_waited_for(alice, engine):
    run = launched(make_mailing(alice, 10))
    claimed = statements.claim(run.pk, engine.lease.worker_id, 4, None)
    core.delete_account(alice)
    for _ in range(3):  # the first job, and ticks
        account_erasure.erase(alice.pk)
    assert hints("control.DQ") == 1
    assert Counter(run.deliveries.values_list("state", flat=True)) == {"sending": 4, "cancelled": 6}
    assert "" not in run.deliveries.values_list("address", flat=True)
    statements.give_back([letter.key for letter in claimed])
    account_erasure.erase(alice.pk)
    assert not User.objects.filter(pk=alice.pk).exists()
    run.refresh_from_db()
    assert (run.state, run.mailing) == (RunState.CANCELLED, None)


@pytest.mark.django_db(transaction=True)
def test_what_was_launched_while_the_account_was_deleted_is_waited_for_and_cancelled(alice, monkeypatch, valkey):
    mailing = make_mailing(alice, 10)

    def delete():
        core.delete_account(User.objects.get(pk=alice.pk))
        account_erasure.erase(alice.pk)

    fill, others = launching._fill, []

    def fill_and_delete(mailing, run):
        filled = fill(mailing, run)
        others.append(elsewhere(delete))
        return filled

    monkeypatch.setattr(launching, "_fill", fill_and_delete)
    (run,) = launching.launch(mailing.pk)
    others[0].result(30)
    run.refresh_from_db()
    assert (run.state, run.mailing, run.total) == (RunState.CANCELLED, None, 10)
    assert set(run.deliveries.values_list("state", "address")) == {("cancelled", "")}
    assert not User.objects.filter(pk=alice.pk).exists()


def test_wherever_the_worker_dies_the_next_goes_on(alice, bob, engine, provider, monkeypatch):
    """After each statement in turn; what was committed by then stays done, and the user's row goes last."""
    monkeypatch.setattr(account_erasure, "CHUNK", 2)
    run = launched(in_the_world_of(alice, bob))
    slice_of(engine, alice)
    before = ledger_of(run)
    core.delete_account(alice)

    class Killed(BaseException):
        pass

    def killed_after(executed):
        left = iter(range(executed))

        def wrapper(execute, sql, params, many, context):
            if next(left, None) is None and "pg_advisory_unlock" not in sql:
                raise Killed
            return execute(sql, params, many, context)

        return wrapper

    for survived in count(1):
        try:
            with connection.execute_wrapper(killed_after(survived)):
                account_erasure.erase(alice.pk)
            break
        except Killed:
            if not User.objects.filter(pk=alice.pk).exists():  # at the last look whether more is to be deleted
                break
            assert core.deleted_accounts() == [alice.pk]
    assert survived > 30
    assert not User.objects.filter(pk=alice.pk).exists()
    assert ledger_of(run) == before
    assert set(run.deliveries.values_list("address", flat=True)) == {""}
    assert not Client.objects.filter(owner=alice).exists()


@pytest.mark.django_db(transaction=True)
def test_one_account_is_erased_at_a_time_and_the_next_is_hinted_at(alice, bob, valkey):
    for user in (alice, bob):
        core.delete_account(user)
    before = hints("control")
    with locks.held(locks.ERASURE) as alone:
        assert alone
        elsewhere(lambda: account_erasure.erase(alice.pk)).result(30)
        assert core.deleted_accounts() == [alice.pk, bob.pk]
    elsewhere(lambda: account_erasure.erase(alice.pk)).result(30)
    assert core.deleted_accounts() == [bob.pk]
    assert hints("control") == before + 1


@pytest.mark.django_db(transaction=True)
def test_a_row_that_something_else_refers_to_is_left_and_told_of(alice, caplog):
    core.delete_account(alice)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE of_another_service (user_id bigint REFERENCES accounts_user)")
        try:
            cursor.execute("INSERT INTO of_another_service VALUES (%s)", [alice.pk])
            account_erasure.erase(alice.pk)
            assert "of_another_service" in caplog.text
            assert core.deleted_accounts() == [alice.pk]
        finally:
            cursor.execute("DROP TABLE of_another_service")
    account_erasure.erase(alice.pk)
    assert core.deleted_accounts() == []


@pytest.mark.django_db(transaction=True)
def test_the_tick_finds_accounts_that_are_not_erased_and_submissions_that_are_old(alice, bob, valkey):
    idempotency.run_once(bob, uuid.uuid4(), lambda: "/")
    Submission.objects.update(at=bob.date_joined - idempotency.KEPT - timedelta(hours=1))
    User.objects.filter(pk=alice.pk).update(deleted_at=alice.date_joined)
    ticking.tick()
    assert hints("control") == 1
    assert not Submission.objects.exists()

"""Imports among each other: one at a time for an owner, two of the installation, and the tick for what was left."""

import threading
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from django.db.models import F
from dramatiq.middleware import Shutdown

from dispatcher.runs import ticking
from tests.elsewhere import begin, elsewhere
from vestnik import jobs
from vestnik.accounts.models import User
from vestnik.clients import attributes, import_files, import_jobs, importing, verbs
from vestnik.clients.import_jobs import run_import
from vestnik.clients.models import Client, ClientImport, ClientList
from vestnik.testing.factories import make_import


@pytest.fixture
def hints(monkeypatch):
    """The imports that were hinted at."""
    found = []

    def note(job, *args, **_kwargs):
        if job is jobs.IMPORT_CLIENTS:
            found.append(*args)
        return True

    monkeypatch.setattr(jobs.Job, "enqueue", note)
    return found


@pytest.fixture
def carol(db):
    return User.objects.create_user("carol@example.org", "a long password")


def upload(owner, name="ann"):
    return make_import(owner, [f"email\n{name}@example.org\nbad\n".encode()], "clients.csv")


def state(work):
    work.refresh_from_db()
    return work.state


@contextmanager
def at_work(monkeypatch, *works):
    """In another thread each, these imports are in the middle of it; they go on when the block ends."""
    go_on, begun = threading.Event(), threading.Semaphore(0)
    import_file = import_jobs.import_file  # type: ignore[attr-defined]

    def slow_import_file(*args):
        begun.release()
        assert go_on.wait(20)
        return import_file(*args)

    with monkeypatch.context() as patch:
        patch.setattr(import_jobs, "import_file", slow_import_file)
        others = [begin(lambda work=work: run_import(work.pk)) for work in works]
        assert all(begun.acquire(timeout=10) for _work in works)
    try:
        yield
    finally:
        go_on.set()
        for other in others:
            other.result(30)


def in_the_middle_of(monkeypatch, work, function):
    """Do the import; while its rows are read, `function` is called elsewhere. Whether that had to wait."""
    others, waited = [], []

    def meanwhile(_rows):
        others.append(elsewhere(function))
        waited.append(not others[0].done())

    monkeypatch.setattr(import_jobs, "_progress", lambda _import_id: meanwhile)
    monkeypatch.setattr(importing, "PROGRESS_EVERY", 2)
    run_import(work.pk)
    (other,) = others
    other.result(30)
    return waited == [True]


@pytest.mark.django_db(transaction=True)
def test_a_list_of_the_same_name_can_be_made_while_the_file_is_read(alice, hints, monkeypatch):
    work = make_import(alice, [b"email\nann@example.org\nbea@example.org\n"], "clients.csv", list_name="Friends")
    waited = in_the_middle_of(monkeypatch, work, lambda: verbs.create_list(alice, "Friends"))
    assert not waited
    assert state(work) == "done"
    assert work.client_list == ClientList.objects.get()
    assert ClientList.objects.get().clients.count() == 2


@pytest.mark.django_db(transaction=True)
def test_an_import_onto_a_list_that_is_deleted_meanwhile_is_refused(alice, hints, monkeypatch):
    friends = verbs.create_list(alice, "Friends")
    work = make_import(alice, [b"email\nann@example.org\nbea@example.org\n"], "clients.csv", client_list=friends)
    assert not in_the_middle_of(monkeypatch, work, lambda: verbs.delete_list(friends))
    assert (state(work), work.reason) == ("refused", "The list was deleted while the file was being imported.")
    assert not Client.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_list_is_not_deleted_while_clients_are_put_on_it(alice, hints, monkeypatch):
    friends = verbs.create_list(alice, "Friends")
    work = make_import(alice, [b"email\nann@example.org\n"], "clients.csv", client_list=friends)
    find, others = import_files._find_list, []

    def find_and_delete(*args):
        found = find(*args)
        others.append(elsewhere(lambda: verbs.delete_list(friends)))
        return found

    monkeypatch.setattr(import_files, "_find_list", find_and_delete)
    run_import(work.pk)
    others[0].result(30)
    assert (state(work), work.listed, work.client_list) == ("done", 1, None)
    assert not ClientList.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_import_that_deployments_broke_off_is_done_all_the_same(alice, hints, monkeypatch):
    work = upload(alice)
    with monkeypatch.context() as patch:
        patch.setattr(import_jobs, "import_file", raises(Shutdown))
        for _ in range(import_jobs.TRIES + 1):
            with pytest.raises(Shutdown):
                run_import(work.pk)
    assert state(work) == "running"
    run_import(work.pk)
    assert (state(work), work.tries) == ("done", 1)


def raises(error):
    def function(*_args):
        raise error

    return function


def older(seconds):
    ClientImport.objects.update(created_at=F("created_at") - timedelta(seconds=seconds))


@pytest.mark.django_db(transaction=True)
def test_others_are_told_that_an_import_is_running(alice, hints, monkeypatch):
    work = upload(alice)
    assert state(work) == "queued"
    with at_work(monkeypatch, work):
        assert state(work) == "running"
    assert state(work) == "done"


@pytest.mark.django_db(transaction=True)
def test_two_workers_do_an_import_once(alice, hints, monkeypatch):
    work = upload(alice)
    with at_work(monkeypatch, work):
        run_import(work.pk)
        assert state(work) == "running"
        assert not Client.objects.exists()
    assert (state(work), work.tries, work.created, work.refused) == ("done", 1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_an_owners_imports_are_done_one_after_another(alice, bob, hints, monkeypatch):
    first, second, bobs = upload(alice), upload(alice, "bea"), upload(bob)
    with at_work(monkeypatch, first):
        run_import(second.pk)
        assert state(second) == "queued"
        run_import(bobs.pk)
        assert state(bobs) == "done"
        hints.clear()
    assert hints == [second.pk]
    run_import(second.pk)
    assert state(second) == "done"


@pytest.mark.django_db(transaction=True)
def test_two_imports_are_done_at_once_and_whoever_ends_one_hints_at_the_next(alice, bob, carol, hints, monkeypatch):
    works = [upload(owner) for owner in (alice, bob, carol)]
    hints.clear()
    with at_work(monkeypatch, *works[:2]):
        run_import(works[2].pk)
        assert state(works[2]) == "queued"
        assert works[2].tries == 0
        assert hints == []
    assert works[2].pk in hints
    run_import(works[2].pk)
    assert state(works[2]) == "done"


@pytest.mark.django_db(transaction=True)
def test_after_a_failure_the_way_is_free(alice, hints, monkeypatch):
    work = upload(alice)
    with monkeypatch.context() as patch:
        patch.setattr(import_jobs, "import_file", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_import(work.pk)
    elsewhere(lambda: run_import(work.pk)).result(30)
    assert (state(work), work.tries) == ("done", 2)


def test_the_tick_hints_at_imports_that_were_overdue(alice, bob, carol, hints):
    works = [upload(owner) for owner in (alice, bob, carol)]
    upload(alice, "her second waits for the first")
    hints.clear()
    ticking.imports()
    assert hints == []
    older(11)
    ClientImport.objects.filter(pk=works[1].pk).update(state="running")
    run_import(works[2].pk)
    hints.clear()
    ticking.imports()
    assert hints == [works[0].pk, works[1].pk]


def test_the_tick_forgets_old_refused_rows(alice, hints):
    work = upload(alice)
    run_import(work.pk)
    ticking.imports()
    assert work.pieces.exists()
    ClientImport.objects.update(finished_at=F("finished_at") - timedelta(days=7))
    ticking.imports()
    assert not work.pieces.exists()


def test_a_tick_asks_the_same_of_many_imports_as_of_one(alice, hints, django_assert_num_queries):
    for _number in range(5):
        upload(alice)
    older(11)
    with django_assert_num_queries(3):
        ticking.imports()


@pytest.mark.django_db(transaction=True)
def test_whoever_saves_a_client_with_a_new_attribute_does_not_wait_for_an_import_that_brings_it(
    alice, hints, monkeypatch
):
    make_list = import_files._find_or_make_list
    waited = []

    def while_it_is_imported(new):
        save = partial(verbs.create_client, alice, "new@example.org", attributes={"CITY": "Rome", "size": "M"})
        waited.append(not elsewhere(save).done())
        return make_list(new)

    monkeypatch.setattr(import_files, "_find_or_make_list", while_it_is_imported)
    work = make_import(
        alice, [b"email,city,size\nann@example.org,Oslo,\nbob@example.org,,L\n"], "x.csv", list_name="All"
    )
    run_import(work.pk)
    assert (state(work), waited) == ("done", [False])
    own = dict(Client.objects.filter(owner=alice).values_list("email", "attributes"))
    assert own["new@example.org"] == {"city": "Rome", "size": "M"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rows_for_names", [0, 50_000])
def test_an_import_and_a_form_with_one_new_attribute_do_not_lock_each_other_out(
    alice, hints, monkeypatch, rows_for_names
):
    """Both want the name and the client: the form is in the middle of it when the import begins, and after."""
    monkeypatch.setattr(importing, "ROWS_FOR_NAMES", rows_for_names)
    ann = verbs.create_client(alice, "ann@example.org")
    learn, others, saved = attributes.learn, [], threading.Event()

    def save():
        client = Client.objects.get(pk=ann.pk)
        client.attributes = {"city": "Rome"}
        verbs.save_client(client)
        saved.set()

    def learn_and_let_others_go_on(owner_id, names, **options):
        known = learn(owner_id, names, **options)
        if names and not options and not others:  # the import has learnt the name; now it goes on to the client
            others.append(elsewhere(save))
        return known

    monkeypatch.setattr(attributes, "learn", learn_and_let_others_go_on)
    work = make_import(alice, [b"email,city\nann@example.org,Oslo\n"], "x.csv")
    run_import(work.pk)
    others[0].result(30)
    assert state(work) == "done"
    assert saved.is_set()
    assert Client.objects.get(pk=ann.pk).attributes["city"] in ("Rome", "Oslo")

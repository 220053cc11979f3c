"""Imports by the dispatcher's real processes: done, begun again after a kill, and never in the way of launches."""

import time

from tests.timing import in_time, wait_until
from vestnik import jobs
from vestnik.accounts.models import User
from vestnik.clients import import_jobs
from vestnik.clients.models import Client, ClientImport, ImportPiece
from vestnik.testing.factories import make_import, make_mailing

ROWS = 200_000


def sheet(rows, name="c"):
    yield "email,ФИО,Город\n".encode()
    for start in range(0, rows, 10_000):
        numbers = range(start, min(start + 10_000, rows))
        yield "".join(f"{name}{n}@example.org,Анна Иванова {n},Осло\n" for n in numbers).encode()
    yield b"nobody,,\n"


def state(work):
    work.refresh_from_db()
    return work.state


def under_way(work):
    """Rows were read, and some are left."""
    rows = import_jobs.progress(work.pk)
    assert state(work) != "done", "it was over too soon to be in the middle of it"
    return rows is not None and 0 < rows < ROWS // 2


def test_an_uploaded_file_is_imported_at_once(alice, post, run_dispatcher):
    run_dispatcher("control")
    uploaded = time.monotonic()
    work = make_import(alice, sheet(1000), "clients.csv", list_name="Friends")
    wait_until(lambda: state(work) == "done")
    in_time(time.monotonic() - uploaded, 2)
    assert (work.created, work.refused, work.listed) == (1000, 1, 1000)
    assert work.client_list.clients.count() == 1000


def test_an_import_whose_worker_was_killed_is_brought_to_its_end_once(alice, post, run_dispatcher):
    dispatcher = run_dispatcher("control")
    work = make_import(alice, sheet(ROWS), "clients.csv", list_name="Friends")
    wait_until(lambda: under_way(work))
    dispatcher.kill("control")
    assert state(work) == "running"
    assert not Client.objects.exists()
    dispatcher.restart("control")
    ClientImport.objects.update(created_at="2020-01-01T00:00Z")  # what time would do
    jobs.tick()
    jobs.tick()
    wait_until(lambda: state(work) == "done", 60)
    assert (work.tries, work.created, work.updated, work.refused) == (2, ROWS, 0, 1)
    assert work.client_list.clients.count() == Client.objects.count() == ROWS
    assert not ImportPiece.objects.filter(kind="source").exists()


def test_an_import_that_was_stopped_with_its_process_is_begun_again(alice, post, run_dispatcher):
    dispatcher = run_dispatcher("control")
    work = make_import(alice, sheet(ROWS), "clients.csv")
    wait_until(lambda: under_way(work))
    stopped = time.monotonic()
    dispatcher.stop("control")
    in_time(time.monotonic() - stopped, 10)
    assert state(work) == "running"
    dispatcher.restart("control")
    ClientImport.objects.update(created_at="2020-01-01T00:00Z")
    jobs.tick()
    wait_until(lambda: state(work) == "done", 60)
    assert (work.tries, work.created) == (1, ROWS)  # a stop is not the file's fault: the try was taken back


def test_launches_do_not_wait_for_imports(alice, bob, post, run_dispatcher):
    carol = User.objects.create_user("carol@example.org")
    run_dispatcher()
    works = [make_import(owner, sheet(ROWS), "clients.csv") for owner in (alice, bob)]
    wait_until(lambda: all(import_jobs.progress(work.pk) for work in works))
    more = [make_import(carol, sheet(10), f"{number}.csv") for number in range(10)]
    mailing = make_mailing(alice, 10)
    saved = time.monotonic()
    post.wait_for(10)
    assert [state(work) for work in works] == ["running", "running"], "the imports were over too soon to be in the way"
    in_time(post.letters[0].arrived - saved, 1.5)
    assert mailing.runs.count() == 1
    wait_until(lambda: all(state(work) == "done" for work in (*works, *more)), 90)

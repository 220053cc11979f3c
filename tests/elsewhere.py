"""What somebody else does at the same time: in another thread, with a connection of its own."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from django.db import connection, connections
from django.db.backends.utils import CursorWrapper

from tests.timing import wait_until

T = TypeVar("T")
PATIENCE = 60.0


def begin(function: Callable[[], T]) -> Future[T]:
    """Have it called elsewhere, and go on at once."""
    return _begin(function)[0]


def elsewhere(function: Callable[[], T]) -> Future[T]:
    """Have it called elsewhere; return as soon as it has ended or waits for a lock of the database.

    Which of the two it is tells `done()`; what it raised comes back with `result()`.
    """
    future, backend = _begin(function)
    pid = backend.result(PATIENCE)
    # By a connection that is neither's: the caller may be in the middle of a COPY.
    third = connection.copy()
    try:
        with third.cursor() as watching:
            wait_until(lambda: future.done() or _waits(watching, pid), PATIENCE)
    finally:
        third.close()
    if future.done():
        future.result()
    return future


def _begin(function: Callable[[], T]) -> tuple[Future[T], Future[int]]:
    backend: Future[int] = Future()

    def work() -> T:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                backend.set_result(cursor.fetchone()[0])
            return function()
        finally:
            connections.close_all()

    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future, backend


def _waits(watching: CursorWrapper, pid: int) -> bool:
    watching.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = %s AND NOT granted)", [pid])
    (waits,) = watching.fetchone()
    return bool(waits)

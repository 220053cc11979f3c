"""The job that hands account mail over, and this process's part in it."""

import threading
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware

from dispatcher.account_mail.sender import AccountMailSender

_account_mail: AccountMailSender | None = None
_lock = threading.Lock()


def deliver() -> None:
    """Hand account mail over, as the job does.

    This process's provider is made when there is something to hand over first, and so after the fork.
    """
    global _account_mail
    with _lock:
        if _account_mail is None:
            _account_mail = AccountMailSender()
    _account_mail.work()


class AccountMailMiddleware(Middleware):
    """Halts account mail when its worker process is told to stop, and disconnects when the jobs have ended."""

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        """Begin no letter any more."""
        if _account_mail:
            _account_mail.halt()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        """Disconnect, now that no job uses the connection."""
        if _account_mail:
            _account_mail.stop()

"""Makers with minimal defaults: a test states what matters to it."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import count
from typing import Any

from django.db.models import F, Value
from django.utils import timezone

from vestnik.accounts.models import User
from vestnik.clients import import_jobs
from vestnik.clients import verbs as clients
from vestnik.clients.models import Client, ClientImport, ClientList
from vestnik.mailings import verbs as mailings
from vestnik.mailings.models import Mailing, Message

_numbers = count(1)


def make_clients(owner: User, number: int, client_list: ClientList | None = None) -> list[Client]:
    """Create `number` clients, client1@example.org and so on, all on a list if one is given."""
    made = [
        Client(owner=owner, email=f"client{n}@example.org", full_name=f"Client {n}", name_key=f"client {n}")
        for n in (next(_numbers) for _ in range(number))
    ]
    made = Client.objects.bulk_create(made)
    if client_list:
        clients.add_to_list(client_list, made)
    return made


def make_list(owner: User, number: int = 0, name: str = "") -> ClientList:
    """Create a list with `number` new clients on it."""
    client_list = clients.create_list(owner, name or f"List {next(_numbers)}")
    make_clients(owner, number, client_list)
    return client_list


def make_import(owner: User, chunks: Iterable[bytes], name: str = "clients.csv", **options: Any) -> ClientImport:
    """Create an import that waits: a file that was taken, and confirmed as it was read."""
    work = import_jobs.take_file(owner, chunks, name, **options)
    import_jobs.begin_import(work, work.encoding, work.delimiter)
    work.refresh_from_db()
    return work


def make_message(owner: User, subject: str = "News", text: str = "Dear {{ full_name }}, hello.") -> Message:
    """Create a short message with a placeholder."""
    return mailings.create_message(owner, subject=subject, text=text)


def make_mailing(owner: User, number: int = 0, **settings: Any) -> Mailing:
    """Create a mailing to `number` new clients on a list of its own, due now, for an hour."""
    now = timezone.now()
    settings.setdefault("start", now - timedelta(seconds=1))
    settings.setdefault("end", settings["start"] + timedelta(hours=1))
    settings.setdefault("lists", [make_list(owner, number)])
    settings.setdefault("name", f"Mailing {next(_numbers)}")
    settings.setdefault("message", None)
    if settings["message"] is None:
        settings["message"] = make_message(owner)
    return mailings.create_mailing(owner, **settings)


def shift(mailing: Mailing, by: timedelta) -> Mailing:
    """Move a mailing into the past, as if it had been created `by` that much earlier."""
    earlier = {name: F(name) - Value(by) for name in ("start", "created_at", "next_at")}
    Mailing.objects.filter(pk=mailing.pk).update(**earlier)
    mailing.refresh_from_db()
    return mailing

"""`dead_jobs`: the jobs that died, to be looked at, tried again or discarded."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from vestnik import dead_jobs
from vestnik.command_line import bad_usage
from vestnik.dead_jobs import DeadJob, QueueAway

NOT_DONE = 1


class Command(BaseCommand):
    help = (
        "The jobs that died: their tries were used up, or their workers died of them. What they were to do the tick"
        " finds again; they tell what is wrong. Exit code 0: done; 1: an id was unknown, or the queue does not answer;"
        " 2: bad usage."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="list | show | requeue | discard")
        actions.add_parser("list", help="all of them, the newest first")
        actions.add_parser("show", help="one, and what it died of").add_argument("ids", metavar="ID", nargs=1)
        for name, what in (("requeue", "try them again"), ("discard", "take them out for good")):
            action = actions.add_parser(name, help=what)
            action.add_argument("ids", metavar="ID", nargs="*")
            action.add_argument("--all", action="store_true", help="all that are there")

    def handle(self, *, action: str, ids: list[str] | None = None, all: bool = False, **_options: Any) -> None:  # noqa: A002
        try:
            if action == "list":
                self._list(dead_jobs.listed())
            elif action == "show":
                self._show(self._found(ids or [])[0])
            elif bool(ids) == all:
                raise bad_usage("Which ones? Name their ids, or say --all.")
            elif action == "requeue":
                self._each(dead_jobs.requeue, ids, "tried again")
            else:
                self._each(dead_jobs.discard, ids, "discarded")
        except QueueAway as error:
            raise CommandError(f"The queue does not answer. {error}", returncode=NOT_DONE) from None

    def _found(self, ids: list[str]) -> list[DeadJob]:
        found = {each: dead_jobs.one(each) for each in ids}
        if unknown := [each for each, message in found.items() if message is None]:
            raise CommandError(f"No dead job is {', '.join(unknown)}. Nothing was done.", returncode=NOT_DONE)
        return [message for message in found.values() if message is not None]

    def _each(self, do: Callable[[DeadJob], None], ids: list[str] | None, done: str) -> None:
        refusals = []
        messages = self._found(ids) if ids else dead_jobs.listed()
        for message in messages:
            try:
                do(message)
            except ValidationError as refusal:
                refusals.append(f"{message.id}: {' '.join(refusal.messages)}")
        self.stdout.write(f"{len(messages) - len(refusals)} {done}." if messages else "There are none.")
        if refusals:
            raise CommandError("\n".join(refusals), returncode=NOT_DONE)

    def _list(self, messages: list[DeadJob]) -> None:
        if not sys.stdout.isatty():
            for message in messages:
                self.stdout.write("\t".join(_cells(message)))
        elif messages:
            table = Table("id", "died", "queue", "job", "tries", "what of", box=None)
            for message in messages:
                table.add_row(*_cells(message))
            Console(file=sys.stdout, markup=False).print(table)
        else:
            self.stdout.write("There are none.")

    def _show(self, message: DeadJob) -> None:
        names = ("id", "died", "queue", "job", "tries", "what of")
        for name, cell in zip(names, _cells(message), strict=True):
            self.stdout.write(f"{name + ':':<9}{cell}")
        if message.traceback:
            self.stdout.write(f"\n{message.traceback}")


def _cells(message: DeadJob) -> tuple[str, ...]:
    died = f"{message.died_at:%Y-%m-%d %H:%M:%S} UTC"
    return message.id, died, message.queue, str(message), str(message.tries), message.error or "it was not noted"

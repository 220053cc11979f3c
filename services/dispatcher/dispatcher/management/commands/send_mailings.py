"""`send_mailings`: sends what is due, now and in the foreground."""

import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dispatcher.runs import foreground
from dispatcher.runs.dry_run import tell
from dispatcher.sending.engine import Engine
from vestnik import jobs
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.models import Mailing

NOT_SENT = 1
BAD_USAGE = 2


class Command(BaseCommand):
    help = (
        "Send what is due: launches due mailings, sends their letters and waits for them, with workers running beside "
        "it or without. Exit code 0: all was sent, or nothing was due; 1: something was not sent, or waits for a "
        "retry; 2: bad usage."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mailing", type=int, action="append", metavar="ID", help="only this one (repeatable)")
        parser.add_argument("--now", action="store_true", help="make a run outside the calendar; needs --mailing")
        parser.add_argument("--dry-run", action="store_true", help="say who would get what; send nothing")
        parser.add_argument("--enqueue", action="store_true", help="leave the sending to the workers")

    _refusals: list[str]

    def handle(self, *, mailing: list[int] | None, now: bool, dry_run: bool, enqueue: bool, **options: Any) -> None:
        if now and not mailing:
            raise CommandError("--now needs --mailing: which mailing is to be sent?", returncode=BAD_USAGE)
        if dry_run and enqueue:
            raise CommandError("--dry-run and --enqueue contradict each other.", returncode=BAD_USAGE)
        self._refusals = []
        chosen = self._mailings(mailing)
        if dry_run:
            tell(chosen, now=now, write=self.stdout.write)
            return
        asked = self._ask(chosen or []) if now else []
        if enqueue:
            self._enqueue(chosen)
        else:
            self._send(None if chosen is None else [each.pk for each in chosen], asked)
        if self._refusals:
            raise CommandError("\n".join(self._refusals), returncode=NOT_SENT)

    def _ask(self, chosen: list[Mailing]) -> list[int]:
        """Open a run of each mailing now, and return their ids. Refusals are told at the end."""
        asked = []
        for mailing in chosen:
            try:
                asked.append(verbs.send_now(mailing).pk)
            except ValidationError as refusal:
                self._refusals.append(f"Mailing {mailing.pk}: {' '.join(refusal.messages)}")
        return asked

    def _mailings(self, ids: list[int] | None) -> list[Mailing] | None:
        if ids is None:
            return None
        found = Mailing.objects.select_related("owner", "message").in_bulk(ids)
        if missing := [str(pk) for pk in ids if pk not in found]:
            raise CommandError(f"There is no mailing {', '.join(missing)}.", returncode=BAD_USAGE)
        return list(found.values())

    def _enqueue(self, chosen: list[Mailing] | None) -> None:
        due = foreground.due(None if chosen is None else [each.pk for each in chosen])
        for mailing_id in due:
            if not jobs.LAUNCH.enqueue(mailing_id):
                raise CommandError(
                    "The queue does not answer; the next tick will find what is due.", returncode=NOT_SENT
                )
        mailings = "1 mailing" if len(due) == 1 else f"{len(due)} mailings"
        self.stdout.write(f"{mailings} left to the workers." if due else "Nothing is due.")

    def _send(self, mailing_ids: list[int] | None, asked: list[int]) -> None:
        under_way = foreground.open_runs(mailing_ids)
        before = runs.totals(*[pk for pk in under_way if pk not in asked])
        for run in foreground.launch(mailing_ids):
            under_way.append(run.pk)
            if run.reason:
                self.stdout.write(f"Run {run.pk} of mailing {run.mailing_id}: {run.reason}.")
        run_ids = sorted({*under_way, *asked})
        to_do = runs.totals(*run_ids)
        if not to_do["left"] and not asked:
            self.stdout.write("Nothing is due.")
            return
        engine = Engine().start()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: engine.halt())
        fault = ""
        try:
            with foreground.Watch(run_ids, _bar(to_do) if sys.stdout.isatty() else _lines(self.stdout.write)):
                foreground.send(engine, run_ids)
        except foreground.ServiceDown as error:
            fault = f"Nothing could be handed over for a while: {error}"
        finally:
            engine.stop()
        after = runs.totals(*run_ids)
        not_sent = {name: after[name] - before[name] for name in ("failed", "expired", "cancelled", "unknown")}
        not_sent["waiting"] = after["left"]
        told = ", ".join(f"{count} {name}" for name, count in not_sent.items() if count)
        self.stdout.write(f"{after['sent'] - before['sent']} sent" + (f", {told}." if told else "."))
        if fault or told:
            raise CommandError(fault or "Not everything was sent.", returncode=NOT_SENT)


def _bar(before: dict[str, int]) -> "foreground.Show":
    progress = Progress(
        TextColumn("{task.fields[sent]} sent · {task.fields[failed]} failed"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stdout),
    )
    task = progress.add_task("", total=before["left"], sent=0, failed=0, rate="–")
    progress.start()

    def show(totals: dict[str, int], over: bool) -> None:
        done = before["left"] - totals["left"]
        speed = progress.tasks[task].speed
        progress.update(
            task,
            completed=done,
            sent=totals["sent"] - before["sent"],
            failed=totals["failed"] - before["failed"],
            rate=f"{speed:.0f}" if speed else "–",
        )
        if over:
            progress.stop()

    return show


def _lines(write: Any) -> "foreground.Show":
    said = -1

    def show(totals: dict[str, int], over: bool) -> None:
        nonlocal said
        if totals["left"] != said:
            said = totals["left"]
            write(f"{totals['sent']} sent, {totals['failed']} failed, {totals['left']} to go")

    return show

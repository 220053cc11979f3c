"""Knows its own processes again after a manager was killed.

Each process that is started leaves a record in a folder: its pid, its start time, and a mark that is in its
environment. Pids are reused, so a process counts as ours only if its start time fits too; children of its own, whose
pids nobody wrote down, are known by the mark.
"""

import json
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

MARK = "VESTNIK_PART"
CLOCK_TOLERANCE_SECONDS = 1.0  # start times move with the machine's clock
END_SECONDS = 10.0
ORPHAN_SECONDS = 2.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Record:
    """One started process."""

    name: str
    pid: int
    started: float
    mark: str
    stop_signal: int

    @classmethod
    def of(cls, name: str, pid: int, mark: str, stop_signal: signal.Signals) -> "Record":
        """Make the record of a process that runs now."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            started = 0.0
        return cls(name, pid, started, mark, int(stop_signal))

    def leader(self) -> psutil.Process | None:
        """Return the recorded process; None if it does not run any more."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= CLOCK_TOLERANCE_SECONDS
        except psutil.Error:
            return None
        return process if same and _lives(process) else None

    def save(self, folder: Path) -> None:
        """Write the record, over an older one of the same name."""
        unfinished = folder / f".{self.name}"
        unfinished.write_text(json.dumps(asdict(self)))
        unfinished.replace(folder / f"{self.name}.json")

    def forget(self, folder: Path) -> None:
        """Remove the record."""
        (folder / f"{self.name}.json").unlink(missing_ok=True)


def marked(marks: set[str]) -> list[psutil.Process]:
    """Return the running processes that carry one of these marks in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) in marks and _lives(process):
                found.append(process)
    return found


def end_children(record: Record, seconds: float = END_SECONDS) -> int:
    """End what a process that is gone left behind; return how many."""
    children = marked({record.mark})
    end(children, signal.SIGTERM, seconds)
    return len(children)


def end_all(folder: Path, seconds: float = END_SECONDS) -> int:
    """End whatever of the records in `folder` still runs, with its children; return how many."""
    records = _load(folder)
    ending = []
    for record in records:
        leader = record.leader()
        family = [leader] if leader else marked({record.mark})
        # On Linux the kernel told a leader when its manager died, and a second signal would make some programs hurry
        # instead of stopping well (dramatiq's workers hang).
        if not (leader and sys.platform == "linux"):
            _signal(family, record.stop_signal if leader else signal.SIGTERM)
        ending += family
    _wait_and_kill(ending, seconds)
    orphans = [process for process in marked({record.mark for record in records}) if process not in ending]
    end(orphans, signal.SIGTERM, ORPHAN_SECONDS)
    for record in records:
        record.forget(folder)
    return len(ending) + len(orphans)


def end(processes: list[psutil.Process], number: int, seconds: float) -> None:
    """Send a signal, wait until nobody of these lives, and kill who does not heed it in time."""
    _signal(processes, number)
    _wait_and_kill(processes, seconds)


def _load(folder: Path) -> list[Record]:
    records = []
    for path in folder.glob("*.json"):
        try:
            records.append(Record(**json.loads(path.read_text())))
        except (ValueError, TypeError):
            path.unlink()
    return records


def _signal(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _wait_and_kill(processes: list[psutil.Process], seconds: float) -> None:
    alive = _alive_after(processes, seconds)
    _signal(alive, signal.SIGKILL)
    _alive_after(alive, seconds)


def _alive_after(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while (alive := [process for process in processes if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False

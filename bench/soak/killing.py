"""What can be killed, and how its processes are found: by the process manager's records, so that they are ours."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.leftovers import Record
from local.processes import RECORDS

KINDS = (
    "a bulk worker",
    "bulk and its workers",
    "the master of bulk",
    "control and its worker",
    "the scheduler",
    "the receiver of bounces",
    "Valkey",
    "PostgreSQL",
    "a process of PostgreSQL",
)
PARTS = dict(
    zip(
        KINDS,
        ("bulk", "bulk", "bulk", "control", "scheduler", "bounces", "valkey", "postgres", "postgres"),
        strict=True,
    )
)
BACK_SECONDS = 90.0


@dataclass(frozen=True)
class Kill:
    """One kill -9."""

    kind: str
    killed: list[int]
    """The pids that got the signal."""
    senders: list[int]
    """The pids of the workers that had letters in hand and went down by it, sooner or later."""


def deal(dice: random.Random) -> Iterator[str]:
    """Yield kinds without end, in random order, each as often as any other."""
    while True:
        yield from dice.sample(KINDS, len(KINDS))


def kill(kind: str, data: Path, dice: random.Random) -> Kill:
    """Kill (-9) what this kind is, once it runs (a part may be just starting again)."""
    deadline = time.monotonic() + BACK_SECONDS
    while not (processes := _find(kind, data, dice)):
        if time.monotonic() > deadline:
            raise SystemExit(f"{PARTS[kind]} did not come back in {BACK_SECONDS:.0f} s")
        time.sleep(0.05)
    senders = [worker.pid for worker in _workers(processes[-1])] if kind == "the master of bulk" else []
    killed = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            killed.append(process.pid)
    if kind in ("a bulk worker", "bulk and its workers"):
        senders = killed
    return Kill(kind, killed, senders)


def _find(kind: str, data: Path, dice: random.Random) -> list[psutil.Process]:
    """Return the processes to kill, children first; none while the part is not wholly there."""
    leader = _leader(data / RECORDS / f"{PARTS[kind]}.json")
    if leader is None:
        return []
    children = _workers(leader)
    match kind:
        case "the scheduler" | "the receiver of bounces" | "Valkey" | "PostgreSQL":
            return [leader]
        case "the master of bulk":
            return [leader] if children else []
        case "a bulk worker" | "a process of PostgreSQL":
            return dice.sample(children, min(1, len(children)))
    return [*children, leader] if children else []


def _leader(record: Path) -> psutil.Process | None:
    try:
        return Record(**json.loads(record.read_text())).leader()
    except FileNotFoundError:
        return None


def _workers(leader: psutil.Process) -> list[psutil.Process]:
    """Return the children that do the part's work: not Python's own helpers."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in leader.children():
            with suppress(psutil.NoSuchProcess):
                if "resource_tracker" not in " ".join(child.cmdline()):
                    found.append(child)
    return found

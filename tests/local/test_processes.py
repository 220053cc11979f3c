import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from local import LocalError, leftovers
from local.logs import LineSplitter, Log
from local.processes import Manager, Part, sole_owner
from tests.timing import in_time, wait_until

PYTHON = [sys.executable, "-I", "-S", "-u", "-c"]
WAITS = "import signal; print('here'); signal.pause()"
SAYS_WHEN_IT_STOPS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("stops"), sys.exit()))
print("here")
while True: signal.pause()
"""
DOES_NOT_HEED = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here')\nwhile True: signal.pause()"
)
HAS_A_CHILD = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"])
print("child", child.pid)
signal.pause()
"""
MANAGER = """
import asyncio, sys
from pathlib import Path
from local.processes import Manager, Part, sole_owner
folder = Path(sys.argv[1])
part = Part("parent", [sys.executable, "-I", "-S", "-u", "-c", sys.argv[2]])
with sole_owner(folder):
    sys.exit(asyncio.run(Manager([part], folder).run()))
"""


def waiting(name: str, code: str = WAITS, **choices: object) -> Part:
    return Part(name, [*PYTHON, code], ready_line="here", **choices)  # type: ignore[arg-type]


def manage(folder: Path, *parts: Part, then: Callable[[Manager], Awaitable[None]] | None = None) -> tuple[int, str]:
    """Runs a manager until `then` is over; returns its exit status and the log."""
    log = io.StringIO()
    (folder / "running").mkdir(exist_ok=True)

    async def run() -> int:
        manager = Manager(parts, folder, Log(["run", *(part.name for part in parts)], log))

        async def act() -> None:
            if then:
                await then(manager)
            manager.stop()

        return await asyncio.wait_for(manager.run(act), 20)

    return asyncio.run(run()), log.getvalue()


def recorded_pid(folder: Path, name: str) -> int:
    path = folder / "running" / f"{name}.json"
    return json.loads(path.read_text())["pid"] if path.exists() else 0


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def until(holds: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, holds)


def test_a_part_that_dies_is_started_again(tmp_path: Path) -> None:
    async def kill_it(manager: Manager) -> None:
        first = recorded_pid(tmp_path, "part")
        os.kill(first, signal.SIGKILL)
        await until(lambda: recorded_pid(tmp_path, "part") not in (0, first))

    status, log = manage(tmp_path, waiting("part"), then=kill_it)
    assert status == 0
    assert "part was killed by SIGKILL; starting it again at once" in log


def test_a_part_that_dies_again_and_again_is_given_pauses(tmp_path: Path) -> None:
    log = io.StringIO()

    async def run() -> None:
        manager = Manager([Part("part", [*PYTHON, "raise SystemExit(3)"])], tmp_path, Log(["run", "part"], log))
        running = asyncio.create_task(manager.run())
        await until(lambda: "starting it again in 1 s" in log.getvalue())
        manager.stop()
        await running

    (tmp_path / "running").mkdir()
    asyncio.run(run())
    assert log.getvalue().index("again at once") < log.getvalue().index("again in 1 s")


def test_parts_start_after_those_they_wait_for_and_stop_before_them(tmp_path: Path) -> None:
    parts = [
        waiting("last", SAYS_WHEN_IT_STOPS, after=["middle"]),
        waiting("first", SAYS_WHEN_IT_STOPS),
        waiting("middle", SAYS_WHEN_IT_STOPS, after=["first", "one that is not run here"]),
    ]
    status, log = manage(tmp_path, *parts)
    said = [line.split()[0] + " " + line.split()[-1] for line in log.splitlines()]
    assert status == 0
    assert said == ["first here", "middle here", "last here", "last stops", "middle stops", "first stops"]


def test_a_part_that_does_not_heed_its_signal_is_killed(tmp_path: Path) -> None:
    status, log = manage(tmp_path, waiting("deaf", DOES_NOT_HEED, stop_seconds=0.2))
    assert status == 0
    assert "deaf does not stop; killing it" in log


def test_a_second_ctrl_c_hurries(tmp_path: Path) -> None:
    async def press_twice(_: Manager) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    began = time.monotonic()
    _, log = manage(tmp_path, waiting("deaf", DOES_NOT_HEED, stop_seconds=60), then=press_twice)
    assert "once more to hurry" in log
    in_time(time.monotonic() - began, 10)


def test_a_failing_preparation_stops_everything(tmp_path: Path) -> None:
    failing = Part("migrate", [*PYTHON, "raise SystemExit('no such table')"], once=True)
    status, log = manage(tmp_path, waiting("before"), failing, waiting("web", after=["migrate"]))
    assert status == 1
    assert "migrate | no such table" in log
    assert "migrate failed" in log
    assert "web     | here" not in log


def test_children_of_a_killed_part_are_ended(tmp_path: Path) -> None:
    parts = [Part("parent", [*PYTHON, HAS_A_CHILD], ready_line="child")]
    children: list[int] = []

    async def kill_it(manager: Manager) -> None:
        parent = recorded_pid(tmp_path, "parent")
        children.extend(child.pid for child in psutil.Process(parent).children())
        os.kill(parent, signal.SIGKILL)
        await until(lambda: recorded_pid(tmp_path, "parent") not in (0, parent))

    _, log = manage(tmp_path, *parts, then=kill_it)
    assert "parent left 1 of its processes behind; ended them" in log
    assert not runs(children[0])


def test_after_a_kill_of_the_manager_the_next_one_ends_what_is_left(tmp_path: Path) -> None:
    manager = subprocess.Popen(
        [sys.executable, "-c", MANAGER, str(tmp_path), HAS_A_CHILD], stdout=subprocess.PIPE, text=True
    )
    assert manager.stdout
    child = int(manager.stdout.readline().split()[-1])
    parent = recorded_pid(tmp_path, "parent")
    manager.kill()
    manager.communicate()
    assert runs(child)
    with sole_owner(tmp_path) as ended:
        assert ended
        assert not runs(child)
        assert not runs(parent)


def test_a_second_manager_is_refused(tmp_path: Path) -> None:
    with sole_owner(tmp_path):
        refused = pytest.raises(LocalError, match=rf"running already \(pid {os.getpid()}\)")
        with refused, sole_owner(tmp_path):
            pass


def test_a_stranger_with_a_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([*PYTHON, "import signal; signal.pause()"])
    record = leftovers.Record.of("part", stranger.pid, "mark", signal.SIGTERM)
    leftovers.Record("part", stranger.pid, record.started - 60, "mark", signal.SIGTERM).save(tmp_path)
    assert leftovers.end_all(tmp_path, seconds=0.1) == 0
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_log_lines_are_text_whatever_a_part_says() -> None:
    said: list[str] = []
    lines = LineSplitter(said.append)
    lines.feed(b"\xff\xfe broken\nhal")
    lines.feed(b"f\n" + b"x" * 100_000)
    lines.close()
    assert said == ["\ufffd\ufffd broken", "half", "x" * 100_000]
    stream = io.StringIO()
    Log(["run", "part"], stream).write("part", "\033[2Jno\rtricks")
    assert stream.getvalue() == "part | [2Jnotricks\n"


def test_a_log_nobody_reads_is_noticed() -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    noticed: list[bool] = []
    log = Log(["run"], Closed())
    log.on_closed = lambda: noticed.append(True)
    log.write("run", "one")
    log.write("run", "two")
    assert noticed == [True]

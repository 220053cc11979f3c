"""The process manager: runs named parts until it is told to stop, and starts again whatever dies before.

A part starts when those it waits for are ready, and stops when those that wait for it have stopped. Parts live in
sessions of their own, so a terminal's Ctrl-C reaches the manager only, and only what the manager started is signalled.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from local import LocalError, leftovers
from local.attached import attached
from local.logs import LineSplitter, Log

POLL_SECONDS = 0.05
SETTLED_SECONDS = 10.0
STEADY_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0
HURRY_SECONDS = 1.0
OWN_NAME = "run"
RECORDS = "running"


@dataclass(frozen=True)
class Part:
    """One program to keep running, or, if `once`, to run before those that wait for it."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of the manager's own
    directory: Path | None = None
    after: Sequence[str] = ()
    once: bool = False
    prepare: Callable[[], None] = lambda: None
    clean_up: Callable[[], None] = lambda: None  # when it is stopped for good
    ready: Callable[[], bool] | None = None
    ready_line: str = ""  # a part without `ready` is ready when it logs this, or has lived for SETTLED_SECONDS
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 20.0
    user: str | None = None


@contextlib.contextmanager
def sole_owner(folder: Path) -> Iterator[int]:
    """Hold the lock of a data folder and end what a killed predecessor left running there; yield how many.

    Raises LocalError if another manager holds the lock.
    """
    (folder / RECORDS).mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise LocalError(f"Vestnik is running already (pid {lock.read().strip()}); stop that one first.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield leftovers.end_all(folder / RECORDS)


class Manager:
    """Runs `parts`; keeps records of what it started in `folder`, of which it must be the sole owner."""

    def __init__(self, parts: Sequence[Part], folder: Path, log: Log | None = None) -> None:
        self.log = log or Log([OWN_NAME, *(part.name for part in parts)])
        self.failure: str | None = None
        self.records = folder / RECORDS
        self._runners = {part.name: _Runner(part, self) for part in parts}
        self._stop = asyncio.Event()

    async def run(self, when_ready: Callable[[], Awaitable[None]] | None = None) -> int:
        """Run the parts until a signal or a failure; return the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._told_to_stop)
        self.log.on_closed = self.stop
        for runner in self._runners.values():
            runner.begin()
        greeting = asyncio.create_task(self._greet(when_ready))
        await self._stop.wait()
        greeting.cancel()
        await asyncio.gather(*(runner.stop() for runner in self._runners.values()))
        await asyncio.wait([greeting])
        if self.failure:
            self.say(self.failure)
        return 1 if self.failure else 0

    def stop(self) -> None:
        """Stop all parts, those first that nobody waits for."""
        self._stop.set()

    def fail(self, sentence: str) -> None:
        """Stop all parts because of a failure."""
        self.failure = self.failure or sentence
        self.stop()

    def say(self, text: str) -> None:
        """Log what the manager itself has to say."""
        self.log.write(OWN_NAME, text)

    async def until_ready(self, names: Sequence[str]) -> None:
        """Wait until these parts are ready; those that are not run here count as ready."""
        await asyncio.gather(*(self._runners[name].ready.wait() for name in names if name in self._runners))

    async def until_stopped_all_after(self, name: str) -> None:
        """Wait until no part that waits for this one runs."""
        after = [runner for runner in self._runners.values() if name in runner.part.after]
        await asyncio.gather(*(runner.stopped.wait() for runner in after))

    async def _greet(self, when_ready: Callable[[], Awaitable[None]] | None) -> None:
        await self.until_ready(list(self._runners))
        try:
            if when_ready:
                await when_ready()
        except LocalError as failure:
            self.fail(str(failure))

    def _told_to_stop(self) -> None:
        if not self._stop.is_set():
            self.say("stopping; once more to hurry")
            self.stop()
            return
        for runner in self._runners.values():
            runner.hurry.set()


class _Runner:
    """The life of one part."""

    def __init__(self, part: Part, manager: Manager) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self.stopped = asyncio.Event()
        self.hurry = asyncio.Event()
        self._manager = manager
        self._starting = asyncio.Lock()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._record: leftovers.Record | None = None

    def begin(self) -> None:
        """Start the part when it may, and again whenever it ends."""
        self._task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        try:
            await self._manager.until_ready(self.part.after)
            await self._keep_running()
        except LocalError as failure:
            self._manager.fail(str(failure))
        except OSError as error:
            self._manager.fail(f"{self.part.name} cannot be started: {error}.")

    async def stop(self) -> None:
        """Stop the part once those that wait for it have stopped."""
        await self._manager.until_stopped_all_after(self.part.name)
        self._stopping = True
        async with self._starting:
            process = self._process
            if process is None or process.returncode is not None:
                if self._task:
                    self._task.cancel()
            else:
                await self._end(process)
        if self._task:
            await asyncio.wait([self._task])
        await asyncio.to_thread(self.part.clean_up)
        self.stopped.set()

    async def _keep_running(self) -> None:
        part, loop, pauses = self.part, asyncio.get_running_loop(), 0
        while True:
            born = loop.time()
            status = await self._run_once()
            if self._stopping:
                return
            if part.once:
                if status:
                    raise LocalError(f"{part.name} failed; what it said is above.")
                self.ready.set()
                return
            if loop.time() - born >= STEADY_SECONDS:
                pauses = 0
            pause = min(2.0 ** (pauses - 1), LONGEST_PAUSE_SECONDS) if pauses else 0.0
            pauses += 1
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            self._say(f"{how}; starting it again {f'in {pause:.0f} s' if pause else 'at once'}")
            await asyncio.sleep(pause)

    async def _run_once(self) -> int:
        async with self._starting:
            await asyncio.to_thread(self.part.prepare)
            if self._stopping:
                return 0
            process, log = await self._spawn()
        watch = asyncio.create_task(self._watch_readiness())
        status = await process.wait()
        watch.cancel()
        await self._end_children()
        await asyncio.wait([log], timeout=1.0)
        log.cancel()
        return status

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, asyncio.Task[None]]:
        part, mark = self.part, secrets.token_hex(8)
        # A pipe of our own: asyncio's would have us wait for the part's children, too, which may hold it open.
        ours, theirs = os.pipe()
        log = asyncio.create_task(self._pump_log(os.fdopen(ours, "rb")))
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *attached(list(part.argv), part.stop_signal, part.user),
                cwd=part.directory,
                env={**os.environ, **part.environment, leftovers.MARK: mark},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        self._record = leftovers.Record.of(part.name, process.pid, mark, part.stop_signal)
        self._record.save(self._manager.records)
        return process, log

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.part.stop_signal)
        ended = asyncio.create_task(process.wait())
        hurried = asyncio.create_task(self.hurry.wait())
        await asyncio.wait([ended, hurried], timeout=self.part.stop_seconds, return_when=asyncio.FIRST_COMPLETED)
        if hurried.done():
            await asyncio.wait([ended], timeout=HURRY_SECONDS)
        hurried.cancel()
        if not ended.done():
            self._say("does not stop; killing it")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await ended

    async def _end_children(self) -> None:
        if self._record:
            seconds = HURRY_SECONDS if self.hurry.is_set() else self.part.stop_seconds
            if ended := await asyncio.to_thread(leftovers.end_children, self._record, seconds):
                self._say(f"left {ended} of its processes behind; ended them")
            self._record.forget(self._manager.records)

    async def _watch_readiness(self) -> None:
        if self.part.once:
            return
        if self.part.ready:
            while not await asyncio.to_thread(self.part.ready):
                await asyncio.sleep(POLL_SECONDS)
        elif self.part.ready_line:
            await asyncio.sleep(SETTLED_SECONDS)
        self.ready.set()

    async def _pump_log(self, pipe: BinaryIO) -> None:
        stream, lines = asyncio.StreamReader(), LineSplitter(self._heard)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), pipe
        )
        try:
            while chunk := await stream.read(65536):
                lines.feed(chunk)
        finally:
            lines.close()
            transport.close()

    def _heard(self, line: str) -> None:
        self._manager.log.write(self.part.name, line)
        if self.part.ready_line and self.part.ready_line in line:
            self.ready.set()

    def _say(self, text: str) -> None:
        self._manager.say(f"{self.part.name} {text}")

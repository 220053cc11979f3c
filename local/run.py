"""`make run`: everything Vestnik is, on one machine, until Ctrl-C."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from local import LocalError, probes
from local.attached import attached
from local.configuration import DATABASE, INBOX_ADDRESS, Configuration, given, value, write_privately
from local.processes import Manager, Part, sole_owner
from local.servers import PostgresServer, ValkeyServer

ROOT = Path(__file__).resolve().parent.parent
WEB_MANAGE = "services/web/manage.py"
DISPATCHER_MANAGE = "services/dispatcher/manage.py"
GUNICORN_OPTIONS = [
    *("--config", "python:web.gunicorn_config", "--workers", "2", "--threads", "4"),
    *("--preload", "--graceful-timeout", "5", "--no-control-socket"),
]
WRONG_CONFIGURATION = 2


def is_worked_on() -> bool:
    """Say whether somebody works on Vestnik itself (DEBUG): what they change is to be seen at once."""
    return os.environ["DEBUG"].strip().lower() not in ("0", "no", "false", "off", "")


class LocalVestnik:
    """The parts of one `make run`, and what is said when they are ready."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.postgres = PostgresServer(configuration.data / "postgres")
        self.valkey = ValkeyServer(configuration.data / "valkey")
        self._began = time.monotonic()

    def check(self) -> None:
        """Raise LocalError if the start would come to nothing."""
        self.configuration.check_ports()
        self.configuration.complete(
            {
                "DATABASE_URL": self.postgres.url(DATABASE),
                "REDIS_URL": self.valkey.url(0),
                "MEDIA_ROOT": str(self.configuration.data / "media"),
                "CACHE_URL": value("REDIS_URL") if given("REDIS_URL") else self.valkey.cache_url,
            }
        )
        self._check_settings()
        if not self.configuration.own_database:
            probes.require_database("DATABASE_URL", value("DATABASE_URL"))
        if not self.configuration.own_queue:
            probes.require_queue("REDIS_URL", value("REDIS_URL"))

    def run(self) -> int:
        """Run until told to stop; return the exit status."""
        manager = Manager(list(self._parts()), self.configuration.data)
        return asyncio.run(manager.run(lambda: self._greet(manager)))

    def _check_settings(self) -> None:
        checks = [
            subprocess.Popen(
                [sys.executable, manage, "check"],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for manage in (DISPATCHER_MANAGE, WEB_MANAGE)
        ]
        said = [(check.communicate()[0].strip(), check.returncode) for check in checks]
        if faults := dict.fromkeys(text for text, status in said if status):
            raise LocalError("\n".join(faults))

    def _parts(self) -> Iterator[Part]:
        chosen = self.configuration
        if chosen.own_database:
            yield _server_part("postgres", self.postgres, self._create_database)
        if chosen.own_queue:
            yield _server_part("valkey", self.valkey, self.valkey.answers)
        yield Part(
            "migrate",
            [sys.executable, WEB_MANAGE, "migrate", "--no-input", "--verbosity", "1" if sys.stdout.isatty() else "0"],
            directory=ROOT,
            after=["postgres"],
            once=True,
        )
        static = self._static()
        if static:
            yield Part(
                "static",
                [sys.executable, WEB_MANAGE, "collectstatic", "--no-input", "--clear", "--verbosity", "0"],
                environment=static,
                directory=ROOT,
                once=True,
            )
        if chosen.own_mail_service:
            ports = ["--smtp-port", str(chosen.inbox_smtp_port), "--web-port", str(chosen.inbox_port)]
            ports += ["--bounces", f"{INBOX_ADDRESS}:{chosen.bounces_port}"]
            yield Part(
                "inbox",
                [sys.executable, "-m", "local.inbox", *ports, "--data", str(chosen.data / "inbox")],
                directory=ROOT,
                ready=lambda: probes.listens(chosen.inbox_smtp_port) and probes.answers_http(chosen.inbox_port),
            )
        yield Part(
            "web",
            [sys.executable, "-m", "gunicorn", "web.wsgi", *self._gunicorn_options()],
            environment={"DJANGO_SETTINGS_MODULE": "web.settings", **static},
            directory=ROOT,
            after=["migrate", "static", "valkey"],
            ready=lambda: probes.answers_http(chosen.web_port),
        )
        yield _dispatcher_part("control", ready_line="ready for action")
        yield _dispatcher_part("bulk", ready_line="ready for action", BULK_PROCESSES=str(chosen.bulk_processes))
        yield _dispatcher_part("scheduler")
        if chosen.receives_bounces:
            yield _dispatcher_part("bounces")

    def _gunicorn_options(self) -> list[str]:
        """Load the web once for all workers; where somebody works on it (DEBUG), in each, and again at every change."""
        options = [option if option != "--preload" or not is_worked_on() else "--reload" for option in GUNICORN_OPTIONS]
        return [*options, "--bind", f"127.0.0.1:{self.configuration.web_port}"]

    def _static(self) -> dict[str, str]:
        """Return the variable that says where what pages load is gathered, packed as nginx would send it; none where
        somebody works on it (DEBUG) or has a place of their own.
        """
        if given("STATIC_ROOT") or is_worked_on():
            return {}
        return {"STATIC_ROOT": str(self.configuration.data / "static")}

    def _create_database(self) -> bool:
        if not self.postgres.answers():
            return False
        self.postgres.create_database(DATABASE)
        return True

    async def _greet(self, manager: Manager) -> None:
        chosen = self.configuration
        sign_in = chosen.data / "sign_in"
        if chosen.demo and chosen.own_database and chosen.own_mail_service and not await asyncio.to_thread(self._used):
            said, status = await _run(WEB_MANAGE, "demo", "--if-empty")
            if status:
                manager.say(f"the demo could not be made:\n{said}")
            else:
                write_privately(sign_in, said)
        addresses = [("Home page", chosen.web_port, ""), ("Admin", chosen.web_port, "admin/")]
        if chosen.own_mail_service:
            addresses.append(("Inbox", chosen.inbox_port, ""))
        lines = [f"Vestnik runs; it took {time.monotonic() - self._began:.1f} s to start.", ""]
        lines += [f"{name:<12}http://127.0.0.1:{port}/{path}" for name, port, path in addresses]
        if sign_in.exists() and chosen.own_database:
            lines += ["", *sign_in.read_text().splitlines()]
        elif chosen.own_database and not await asyncio.to_thread(self._used):
            create = f". {chosen.data / 'environment'}; {sys.executable} {WEB_MANAGE} createsuperuser"
            lines += ["", "Nobody can sign in yet. This makes an administrator:", f"(set -a; {create})"]
        lines += ["", "Ctrl-C stops it."]
        manager.log.block("\n" + "".join(f"  {line}".rstrip() + "\n" for line in lines) + "\n")

    def _used(self) -> bool:
        """Say whether the embedded database has users."""
        try:
            with psycopg.connect(self.postgres.url(DATABASE)) as connection:
                row = connection.execute("SELECT EXISTS (SELECT FROM accounts_user)").fetchone()
        except psycopg.Error as error:
            raise LocalError(f"The database cannot be read: {error}") from None
        return bool(row and row[0])


def main() -> int:
    """Start Vestnik; return the exit status."""
    try:
        configuration = Configuration.read(ROOT)
        configuration.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with sole_owner(configuration.data) as ended:
            if ended:
                print(f"Ended {ended} processes left over from before.", flush=True)
            vestnik = LocalVestnik(configuration)
            vestnik.check()
            return vestnik.run()
    except LocalError as failure:
        print(failure, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or 'The data folder'} cannot be used: {error.strerror}.", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return WRONG_CONFIGURATION


def _server_part(name: str, server: PostgresServer | ValkeyServer, ready: Callable[[], bool]) -> Part:
    return Part(
        name,
        server.command(),
        directory=Path("/"),
        prepare=server.prepare,
        clean_up=server.clean_up,
        ready=ready,
        stop_signal=server.stop_signal,
        user=server.user,
    )


def _dispatcher_part(name: str, ready_line: str = "", **environment: str) -> Part:
    return Part(
        name,
        [sys.executable, "-m", "dispatcher", name],
        environment=environment,
        directory=ROOT,
        after=["migrate", "valkey", "inbox"],
        ready_line=ready_line,
    )


async def _run(*argv: str) -> tuple[str, int]:
    process = await asyncio.create_subprocess_exec(
        *attached([sys.executable, *argv], signal.SIGTERM),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return said.decode(errors="replace").strip(), process.returncode or 0


if __name__ == "__main__":
    sys.exit(main())

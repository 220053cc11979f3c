"""An installation without containers: what a program called docker is told is done here, by real parts.

PostgreSQL is a server of its own; psql, pg_dump, pg_restore, tar and `migrate` are the real ones. Redis, nginx and the
starting and stopping of services are not there.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg

from local.servers import PostgresServer
from ops.restore import KNOWN

if TYPE_CHECKING:
    from tests.ops.conftest import Docker

BINARIES = Path(sys.executable).parent
DJANGO = {
    "DJANGO_SETTINGS_MODULE": "web.settings",
    "MODE": "local",
    "SECRET_KEY": "only for tests",
    "REDIS_URL": "unix:///nowhere",
    "LOG_LEVEL": "WARNING",
}


class Database:
    """The server that containers call postgres, with what a fresh and a filled installation have."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.binaries = server._binaries
        self.sql("CREATE ROLE vestnik SUPERUSER LOGIN", "postgres")
        self.sql("CREATE DATABASE fresh OWNER vestnik", "postgres")
        self.django("fresh", "migrate", "--no-input", "--verbosity", "0")
        self.sql("CREATE DATABASE filled TEMPLATE fresh", "postgres")
        self.django("filled", "createsuperuser", "--no-input", "--email", "alice@example.org")
        self.known = self._python("fresh", "-c", KNOWN)

    def url(self, name: str) -> str:
        return f"postgresql://vestnik@{quote(str(self.server.socket_directory), safe='')}:5432/{name}"

    def sql(self, statement: str, name: str = "vestnik") -> list[tuple[object, ...]]:
        with psycopg.connect(self.server.url(name), autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def become(self, template: str) -> None:
        """The installation's database is what the template is, and there is no other."""
        for name in self.names() | {"vestnik"}:
            self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")
        self.sql(f"CREATE DATABASE vestnik TEMPLATE {template} OWNER vestnik", "postgres")

    def names(self) -> set[object]:
        """The databases of the installation."""
        found = self.sql("SELECT datname FROM pg_database WHERE datname LIKE 'vestnik%'", "postgres")
        return {name for (name,) in found}

    @contextmanager
    def connected(self, name: str) -> Iterator[None]:
        """Somebody has an open transaction there, and may lose it."""
        connection = psycopg.connect(self.server.url(name))
        connection.execute("SELECT count(*) FROM accounts_user")
        yield
        connection.close()

    def django(self, name: str, *command: str) -> None:
        self._python(name, "-m", "django", *command)

    def _python(self, name: str, *arguments: str) -> str:
        settings = {**DJANGO, "DATABASE_URL": self.url(name), "DJANGO_SUPERUSER_PASSWORD": "of the tests only"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=os.environ | settings, check=True, capture_output=True, text=True).stdout


class Installation:
    """What `Compose()` finds in the test's PATH."""

    def __init__(self, docker: "Docker", database: Database, folder: Path) -> None:
        self.docker = docker
        self.database = database
        self.media = folder / "media"
        self.media.mkdir()
        known = folder / "known"
        known.write_text(database.known)
        here = f"s#/srv/media#{self.media}#g"
        docker.does("exec -T postgres", f'shift 4; PATH="{database.binaries}:$PATH" exec env {self._server} "$@"')
        docker.does("--no-deps web tar", f'shift 9; exec tar -C {self.media} "$@"')
        docker.does("--no-deps web rm", f"rm -rf {self.media}/.restored")
        docker.does("--no-deps web sh", f"""exec sh -c "$(printf %s "$9" | sed '{here}')\"""")
        docker.does("migrate --no-input", "true")
        docker.does("--no-deps web python", f"cat {known}")

    def migrates(self) -> None:
        """`migrate` is run; who restores what is of this version does not wait for it."""
        address = self.media.with_name("database_url")
        address.write_text(self.database.url("vestnik"))
        told = {**DJANGO, "DATABASE_URL_FILE": str(address)}
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in told.items())
        self.docker.does("migrate --no-input", f'export {settings}; PATH="{BINARIES}:$PATH" exec sh -c "$9"')

    @property
    def _server(self) -> str:
        return f"PGHOST={self.database.server.socket_directory} PGPORT=5432"

    def psql(self, before: str) -> str:
        """Shell for a command of psql that is run after something else."""
        return f'{before}; shift 4; PATH="{self.database.binaries}:$PATH" exec env {self._server} "$@"'

    def shell_sql(self, statement: str) -> str:
        """Shell that has a statement run in the installation's database."""
        return f'{self.database.binaries}/psql -q -d "{self.database.url("vestnik")}" -c "{statement}"'

    def add_picture(self, name: str, content: bytes) -> None:
        file = self.media / "blog" / name / "480.jpg"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)

    def pictures(self) -> dict[str, bytes]:
        """Every file there is by its path."""
        files = (path for path in self.media.rglob("*") if path.is_file())
        return {str(path.relative_to(self.media)): path.read_bytes() for path in files}

    def people(self) -> list[object]:
        return [address for (address,) in self.database.sql("SELECT email FROM accounts_user")]


@contextmanager
def started() -> Iterator[Database]:
    """A server of its own: an installation's databases are renamed and dropped."""
    # Not in pytest's folder, which another pytest closes to the user that PostgreSQL runs as.
    folder = tempfile.TemporaryDirectory(prefix="vestnik-ops-")
    with folder, PostgresServer(Path(folder.name, "postgres"), durable=False) as server:
        yield Database(server)

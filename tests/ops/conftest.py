"""A program called docker that writes down what it is told. What containers make of it, `make smoke` shows."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.installation import Database, Installation, started


class Docker:
    """Stands first in the PATH. It says nothing and succeeds, but for what it was told to do."""

    def __init__(self, folder: Path) -> None:
        self._program, self._log = folder / "docker", folder / "told"
        self._cases: list[str] = []
        self._log.touch()
        self._write()

    def does(self, words: str, shell: str) -> None:
        """This, where these words stand in its command line; what was said later counts first."""
        self._cases.insert(0, f"*{shlex.quote(words)}*) {shell};;\n")
        self._write()

    @property
    def told(self) -> list[str]:
        """Its command lines, without what stands in all of them."""
        return [line.removeprefix("compose ") for line in self._log.read_text().splitlines()]

    def forget(self) -> None:
        """What it was told until now."""
        self._log.write_text("")

    def order(self, *words: str) -> list[str]:
        """These words in the order in which it was told them; each of its command lines counts for one."""
        return [word for line in self.told for word in words if line.startswith(word)]

    def _write(self) -> None:
        cases = "".join(self._cases)
        self._program.write_text(
            f"#!/bin/sh\nprintf '%s' \"$*\" | tr '\\n' ' ' >> {self._log}; echo >> {self._log}\n"
            f'case "$*" in\n{cases}*) ;;\nesac\n'
        )
        self._program.chmod(0o755)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    docker = Docker(folder)
    docker.does("config --format json", """echo '{"services": {"secrets": {"environment": {"DATABASE_URL": ""}}}}'""")
    return docker


@pytest.fixture(scope="package")
def database() -> Iterator[Database]:
    with started() as database:
        yield database


@pytest.fixture
def site(docker: Docker, database: Database, tmp_path: Path) -> Installation:
    """A filled installation: Alice, and a picture."""
    database.become("filled")
    site = Installation(docker, database, tmp_path)
    site.add_picture("sunrise", b"the sun" * 1000)
    return site

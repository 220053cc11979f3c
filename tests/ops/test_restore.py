"""What `make restore` refuses before it touches anything. That it restores, `make smoke` shows on real containers."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ops import OpsError
from ops.compose import Compose
from ops.restore import restore

ROOT = Path(__file__).parents[2]


class Untouched(Compose):
    """An installation that nobody may ask for anything."""

    def __call__(self, *arguments: str, **options: object) -> str:
        raise AssertionError(arguments)


def test_it_asks_which_backup():
    said = subprocess.run(["make", "restore"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode
    assert said.stderr.startswith("Which backup? make restore FILE=backups/")


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    file = tmp_path / "letters.tar"
    file.write_text("Dear Bob")
    with pytest.raises(OpsError, match=r"letters\.tar cannot be read"):
        restore(Untouched(), file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OpsError, match=r"nothing\.tar cannot be read"):
        restore(Untouched(), tmp_path / "nothing.tar")


def test_an_archive_of_something_else_is_refused(tmp_path):
    file = tmp_path / "pictures.tar"
    with tarfile.open(file, "w") as archive:
        archive.addfile(tarfile.TarInfo("holiday.jpg"), io.BytesIO())
    with pytest.raises(OpsError, match=r"pictures\.tar is no backup: there is no about\.json in it"):
        restore(Untouched(), file)


def test_the_operators_programs_want_nothing_but_python():
    """A server has no .venv: whatever ops imports is Python's own, or ops'."""
    script = (
        "import sys; sys.path.insert(0, '.')\n"
        "import ops.up, ops.backup, ops.restore, ops.smoke.__main__, ops.smoke.plugs"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", script], cwd=ROOT, check=True)  # without installed packages

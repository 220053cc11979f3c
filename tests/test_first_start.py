"""The secrets of an installation in containers: made once, whole, and kept."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tools.variables import EXAMPLE, sentences
from vestnik import first_start

NAMES = ("secret_key", "front_secret", "postgres_password")
GIVEN = "given-by-the-operator-0123456789"


class Folders:
    """What the services are shown, and what nginx is."""

    def __init__(self, folder: Path) -> None:
        self.secrets, self.front = folder / "secrets", folder / "front"
        for each in (self.secrets, self.front):
            each.mkdir()

    def start(self, **given: str) -> "subprocess.CompletedProcess[str]":
        """The program as a container runs it, that was given these variables: it has no packages."""
        return self.start_with((), **given)

    def start_with(self, names: tuple[str, ...], **given: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": os.environ["PATH"]} | given
        command = [sys.executable, "-I", "-S", first_start.__file__, str(self.secrets), str(self.front), *names]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def read(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.secrets.iterdir()}


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_a_first_start_makes_what_nobody_gave(folders):
    assert folders.start().stdout == "made: SECRET_KEY, FRONT_SECRET, POSTGRES_PASSWORD\n"
    made = folders.read()
    assert set(made) == {*NAMES, "database_url"}
    assert len({made[name] for name in NAMES}) == 3
    assert min(len(made[name]) for name in NAMES) >= 40
    assert made["database_url"] == f"postgresql://vestnik:{made['postgres_password']}@postgres/vestnik"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders.secrets.iterdir()} == {0o444}


def test_the_next_start_keeps_it(folders):
    folders.start()
    made = folders.read()
    assert folders.start().stdout == "nothing was missing\n"
    assert folders.read() == made


@pytest.mark.parametrize("lost", NAMES)
@pytest.mark.parametrize("how", ["not there yet", "empty after a power cut"])
def test_a_start_that_was_broken_off_is_finished_and_what_there_is_stays(folders, lost, how):
    folders.start()
    made = folders.read()
    (folders.secrets / lost).unlink()
    (folders.secrets / "database_url").unlink()
    if how.startswith("empty"):
        (folders.secrets / lost).touch()
    assert folders.start().stdout == f"made: {lost.upper()}\n"
    now = folders.read()
    assert len(now[lost]) >= 40
    assert {name: now[name] for name in NAMES if name != lost} == {name: made[name] for name in NAMES if name != lost}
    assert now["postgres_password"] in now["database_url"]


def test_what_is_given_counts_and_what_is_not_stays(folders):
    folders.start()
    made = folders.read()
    folders.start(SECRET_KEY=GIVEN, DATABASE_URL="postgresql://db.example.org/vestnik")
    assert folders.read() == made | {"secret_key": GIVEN, "database_url": "postgresql://db.example.org/vestnik"}


def test_nginx_is_shown_its_own_secret_alone(folders):
    folders.start(FRONT_SECRET=GIVEN)
    assert {path.name: path.read_text() for path in folders.front.iterdir()} == {"front_secret": GIVEN}
    folders.start(FRONT_SECRET=f"{GIVEN}-changed")
    assert (folders.front / "front_secret").read_text() == f"{GIVEN}-changed" == folders.read()["front_secret"]


@pytest.mark.parametrize("name", ["SECRET_KEY", "FRONT_SECRET", "POSTGRES_PASSWORD"])
@pytest.mark.parametrize("value", ["too-short", "with a space in its middle", "a$b#c'd\"e%f@g:h/i?j&k", "ключ" * 10])
def test_what_would_not_fit_into_urls_is_refused_in_a_sentence_before_anything_is_written(folders, name, value):
    answer = folders.start(**{name: value})
    assert answer.returncode == 2
    assert answer.stderr == f"{name}: 16 to 200 letters, digits, hyphens and underscores are wanted.\n"
    assert not folders.read()


@pytest.mark.parametrize("name", ["SECRET_KEY", "FRONT_SECRET", "POSTGRES_PASSWORD"])
def test_an_example_is_nobodys_secret(folders, name):
    assert folders.start(**{name: sentences(EXAMPLE.read_text())[name].value}).returncode == 2


def test_the_databases_password_is_made_alone_and_before_the_rest(folders):
    assert folders.start_with(("POSTGRES_PASSWORD",)).stdout == "made: POSTGRES_PASSWORD\n"
    password = folders.read()
    assert set(password) == {"postgres_password"}
    assert folders.start().stdout == "made: SECRET_KEY, FRONT_SECRET\n"
    assert folders.read()["postgres_password"] == password["postgres_password"]


@pytest.mark.parametrize("names", [(), ("POSTGRES_PASSWORD",)])
@pytest.mark.parametrize("mode", [{}, {"MODE": ""}, {"MODE": "trial"}])
def test_what_is_in_real_use_is_refused_to_a_trial_before_anything_is_written(folders, names, mode):
    folders.start_with(names, MODE="production", POSTGRES_PASSWORD=GIVEN)
    before = folders.read()
    answer = folders.start_with(names, **mode, POSTGRES_PASSWORD=f"{GIVEN}-changed")
    assert answer.returncode == 2
    assert "installation in real use" in answer.stderr
    assert "make up" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert folders.read() == before
    assert folders.start_with(names, MODE="production").returncode == 0


def test_a_trial_becomes_real_and_keeps_what_it_made(folders):
    folders.start(MODE="trial")
    made = folders.read()
    assert folders.start(MODE="production").returncode == 0
    assert made.items() <= folders.read().items()
    assert folders.start(MODE="trial").returncode == 2


def test_containers_are_not_started_with_the_variables_of_make_run(folders):
    answer = folders.start(MODE="local")
    assert answer.returncode == 2
    assert ".local/environment" in answer.stderr
    assert not folders.read()


@pytest.mark.parametrize(("port", "another"), [("8080", "8081"), ("65535", "8081"), ("127.0.0.1:80", "8081")])
def test_who_starts_a_second_trial_reads_which_variable_chooses_another_port(folders, port, another):
    assert f"Port {port}: where it is taken, PORT={another} docker compose up" in folders.start(PORT=port).stdout
    assert "Port" not in folders.start(PORT=port, MODE="production").stdout

"""`manage.py dead_jobs`: the door to the jobs that died."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.dead_jobs import dead_job, waiting
from tests.timing import wait_until
from vestnik import dead_jobs

pytestmark = pytest.mark.usefixtures("valkey")

COMMAND = [sys.executable, "services/dispatcher/manage.py", "dead_jobs"]
ROOT = Path(__file__).parents[2]
NOBODY = "00000000-0000-0000-0000-000000000000"


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **variables}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    answer = subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback (most" not in answer.stderr
    return answer


def run_on_a_terminal(*arguments: str) -> str:
    """What stands on the screen, of 200 columns."""
    environment = {**os.environ, "COLUMNS": "200", "TERM": "xterm"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    ours, its = pty.openpty()
    with subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, env=environment, stdout=its, stderr=its) as process:
        os.close(its)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the terminal's end
                break
        os.close(ours)
    assert process.returncode == 0
    return shown.decode()


def test_the_dead_are_listed_in_lines_for_a_pipe() -> None:
    first = dead_job("launch", 7, error="ValueError: [no] way", traceback="Traceback …")
    wait_until(lambda: time.time() > first.died_at.timestamp() + 0.001)  # they are told apart by milliseconds
    dead_job("send", 5, 0, "token", 0, queue="bulk")
    answer = run("list")

    assert answer.returncode == 0
    newest, oldest = (line.split("\t") for line in answer.stdout.splitlines())
    died = f"{first.died_at:%Y-%m-%d %H:%M:%S} UTC"
    assert oldest == [first.id, died, "control", "launch(7)", "1", "ValueError: [no] way"]
    assert newest[2:] == ["bulk", "send(5, 0, 'token', 0)", "1", "it was not noted"]


def test_the_dead_are_a_table_on_a_terminal() -> None:
    assert "There are none." in run_on_a_terminal("list")
    dead = dead_job("launch", 7, error="ValueError: [no] way")
    shown = run_on_a_terminal("list")

    for words in ("what of", dead.id, "launch(7)", "ValueError: [no] way"):
        assert words in shown


def test_a_pipe_gets_nothing_where_nothing_is() -> None:
    assert (run("list").stdout, run("requeue", "--all").stdout) == ("", "There are none.\n")


def test_one_is_shown_with_what_it_died_of() -> None:
    dead = dead_job("launch", 7, error="ValueError: no", traceback="Traceback …\nValueError: no")
    answer = run("show", dead.id)

    assert answer.returncode == 0
    assert f"id:      {dead.id}\n" in answer.stdout
    assert "what of: ValueError: no\n\nTraceback …\nValueError: no" in answer.stdout


def test_chosen_ones_are_tried_again() -> None:
    died = [dead_job("launch", number) for number in range(3)]
    answer = run("requeue", died[0].id, died[2].id)

    assert (answer.returncode, answer.stdout) == (0, "2 tried again.\n")
    assert sorted(args for _job, args, _options in waiting()) == [[0], [2]]
    assert dead_jobs.listed() == [died[1]]


def test_all_are_discarded() -> None:
    for number in range(3):
        dead_job("launch", number)
    answer = run("discard", "--all")

    assert (answer.returncode, answer.stdout) == (0, "3 discarded.\n")
    assert (waiting(), dead_jobs.count()) == ([], 0)


@pytest.mark.parametrize("action", ["show", "requeue", "discard"])
def test_an_unknown_id_ends_with_1_and_nothing_is_done(action: str) -> None:
    dead = dead_job("launch", 7)
    answer = run(action, *([NOBODY] if action == "show" else [dead.id, NOBODY]))

    assert answer.returncode == 1
    assert NOBODY in answer.stderr
    assert dead.id not in answer.stderr
    assert dead_jobs.listed() == [dead]
    assert waiting() == []


@pytest.mark.parametrize(
    "arguments",
    [(), ("dead_job",), ("show",), ("requeue",), ("discard",), ("discard", NOBODY, "--all"), ("list", NOBODY)],
)
def test_what_makes_no_sense_ends_with_2(arguments: tuple[str, ...]) -> None:
    answer = run(*arguments)

    assert answer.returncode == 2
    assert answer.stderr


@pytest.mark.parametrize("arguments", [("list",), ("show", NOBODY), ("requeue", "--all"), ("discard", NOBODY)])
def test_a_queue_that_does_not_answer_is_said_in_a_sentence(arguments: Any) -> None:
    answer = run(*arguments, REDIS_URL="redis://127.0.0.1:1/0")

    assert answer.returncode == 1
    assert "The queue does not answer." in answer.stderr
    assert len(answer.stderr.splitlines()) == 1

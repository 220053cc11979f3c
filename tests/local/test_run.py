import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import LocalError, probes
from tests.local.helpers import ask, ask_json, free_port, open_folder
from tests.timing import wait_until

SETTINGS = ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CACHE_URL", "MAIL_SERVICE_URL", "DJANGO_SETTINGS_MODULE")


LETTERS = 295  # of the mailings, and one that tells the owner that a manager switched one off
"""What the inbox takes of the demo's letters: 115 to customers, 140 to subscribers, 24 to VIP, 15 to the unsure."""


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    ports = {name: str(free_port()) for name in ("WEB_PORT", "INBOX_SMTP_PORT", "INBOX_PORT", "BOUNCES_PORT")}
    with open_folder() as folder:
        yield {**kept, **ports, "LOCAL_DATA": str(folder), "PYTHON_DOTENV_DISABLED": "1", "BULK_PROCESSES": "1"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def start(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen([sys.executable, "-m", "local.run"], env=environment, stdout=file, stderr=file)


def refused(environment: dict[str, str], log: Path) -> str:
    assert start(environment, log).wait(30) == 2
    assert not any((Path(environment["LOCAL_DATA"]) / "running").glob("*"))
    said = log.read_text()
    assert "Traceback" not in said
    return said


def prepared(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a terminal that has read what `make run` chose, as the README has people do."""
    chosen = Path(environment["LOCAL_DATA"]) / "environment"
    shell = f'set -a; . "{chosen}"; set +a; exec env -0'
    said = subprocess.run(["sh", "-c", shell], env=environment, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in said.split("\0") if line)


def demo(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """What `make demo` does."""
    return subprocess.run(
        [sys.executable, "-m", "local.demo"], env=environment, capture_output=True, text=True, check=False
    )


def assert_the_sign_ins_are_in(said: str) -> None:
    assert "Sign in with the password" in said
    for name in ("demo", "manager", "editor", "admin"):
        assert f"  {name}@vestnik.test  " in said


def assert_what_the_home_page_loads_is_small(port: int) -> None:
    """As a browser asks, which unpacks: 636 kB of styles alone otherwise."""
    _, page = ask(port, "/en/")
    loaded = set(re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js))"', page))
    assert len(loaded) > 3
    size = 0
    for path in loaded:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        size += len(answer.read())
        assert "immutable" in (answer.getheader("Cache-Control") or "")
        connection.close()
    assert size < 250_000


def test_everything_starts_again_after_a_kill_and_stops_on_ctrl_c(environment: dict[str, str], log: Path) -> None:
    inbox_port = int(environment["INBOX_PORT"])
    first = start(environment, log)
    wait_until(lambda: "Ctrl-C stops it" in log.read_text(), 60)
    assert_the_sign_ins_are_in(log.read_text())
    assert_what_the_home_page_loads_is_small(int(environment["WEB_PORT"]))
    letters = wait_until(lambda: len(found := ask_json(inbox_port, "/api/letters")) == LETTERS and found)
    first.kill()
    first.wait()
    terminal = prepared(environment)
    second = start(terminal, log)
    wait_until(lambda: "Ctrl-C stops it" in log.read_text(), 60)
    assert_the_sign_ins_are_in(log.read_text())
    assert prepared(environment) == terminal
    again = demo(terminal)
    assert again.returncode == 0, again.stderr
    assert_the_sign_ins_are_in(again.stdout)
    assert ask_json(inbox_port, "/api/letters") == letters
    second.send_signal(signal.SIGINT)
    assert second.wait(30) == 0
    assert not probes.listens(int(environment["WEB_PORT"]))
    assert not any((Path(environment["LOCAL_DATA"]) / "running").glob("*"))


def test_a_taken_port_is_named_with_the_variable_that_chooses_another(environment: dict[str, str], log: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused({**environment, "INBOX_PORT": port}, log)
    assert f"Port {port} is taken" in said
    assert "INBOX_PORT chooses another" in said


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("WEB_PORT", "eighty", "a number from 1 to 65535"),
        ("MAIL_SERVICE_URL", "carrier-pigeon://roof", "MAIL_SERVICE_URL"),
        ("LOCAL_DATA", os.devnull, "cannot be used"),
    ],
)
def test_a_wrong_variable_stops_the_start_with_a_sentence(
    environment: dict[str, str], log: Path, variable: str, value: str, fault: str
) -> None:
    said = refused({**environment, variable: value}, log)
    assert variable in said or value in said
    assert fault in said


def test_an_unreachable_server_is_said_in_a_sentence() -> None:
    with pytest.raises(LocalError, match=r"^DATABASE_URL: the database cannot be reached .*\)\.$"):
        probes.require_database("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(LocalError, match=r"^REDIS_URL: the queue's server cannot be reached .*\)\.$"):
        probes.require_queue("REDIS_URL", "redis://127.0.0.1:1/0")


def test_a_url_may_come_from_a_file(environment: dict[str, str], log: Path, tmp_path: Path) -> None:
    secret = tmp_path / "database_url"
    secret.write_text("postgresql://nobody@127.0.0.1:9/nowhere\n")
    assert "DATABASE_URL" in refused({**environment, "DATABASE_URL_FILE": str(secret)}, log)
    assert "DATABASE_URL_FILE" in refused({**environment, "DATABASE_URL_FILE": str(tmp_path / "missing")}, log)


def test_the_demo_asks_for_make_run_where_it_does_not_run(environment: dict[str, str]) -> None:
    data = Path(environment["LOCAL_DATA"])
    nothing = demo(environment)
    chosen = {"SECRET_KEY": "x", "DATABASE_URL": f"postgresql:///vestnik?host={data}", "REDIS_URL": "unix:///nowhere"}
    (data / "environment").write_text("".join(f"{name}={text}\n" for name, text in chosen.items()))
    stopped = demo(environment)
    for answer in (nothing, stopped):
        assert answer.returncode == 2
        assert answer.stderr.startswith("Start `make run` first")
        assert len(answer.stderr.splitlines()) == 1


def test_the_demos_letters_do_not_go_to_a_service_of_ones_own(environment: dict[str, str]) -> None:
    answer = demo({**environment, "MAIL_SERVICE_URL": "smtp://mail.example.org"})
    assert answer.returncode == 2
    assert "MAIL_SERVICE_URL names another service" in answer.stderr


def test_what_somebody_gives_counts_beside_what_was_chosen(environment: dict[str, str]) -> None:
    chosen = Path(environment["LOCAL_DATA"]) / "environment"
    chosen.write_text("MAIL_SERVICE_URL='smtp://127.0.0.1:2525'\nSECRET_KEY='it''s $HOME'\n")
    terminal = prepared(environment)
    answer = demo({**terminal, "MAIL_SERVICE_URL": "smtp://mail.example.org"})
    assert "MAIL_SERVICE_URL names another service" in answer.stderr
    assert "MAIL_SERVICE_URL" not in demo(terminal).stderr

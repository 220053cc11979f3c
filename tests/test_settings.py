"""The environment is read once, loudly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def check(service: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in {**os.environ, **variables}.items() if value != "<unset>"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, f"services/{service}/manage.py", "check"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("web", "SECRET_KEY", "<unset>"),
        ("web", "DEBUG", "yep"),
        ("web", "DATABASE_URL", "mysql://localhost/x"),
        ("web", "DATABASE_URL", "nonsense"),
        ("web", "REDIS_URL", "http://localhost"),
        ("web", "LOG_LEVEL", "LOUD"),
        ("web", "MAIL_FROM", "nobody"),
        ("web", "TICK_CRON", "now and then"),
        ("web", "TICK_CRON", "61 * * * *"),
        ("web", "SITE_URL", "vestnik.example.org"),
        ("web", "SITE_URL", "https://example.org/vestnik"),
        ("dispatcher", "FRONT_URL", "nginx:8080"),
        ("web", "FRONT_SECRET", "too short"),
        ("web", "FRONT_SECRET", 'a "quoted" secret of enough'),
        ("dispatcher", "SETBACKS", ""),
        ("dispatcher", "SETBACKS", "1,-2"),
        ("dispatcher", "MAIL_SERVICE_URL", "<unset>"),
        ("dispatcher", "MAIL_SERVICE_URL", "smpt://localhost"),
        ("dispatcher", "MAIL_SERVICE_URL", "smtp://localhost:25?conections=3"),
        ("dispatcher", "MAIL_SERVICE_URL", "smtp://localhost:99999"),
        ("dispatcher", "MAX_ATTEMPTS", "many"),
        ("dispatcher", "MAX_ATTEMPTS", "0"),
        ("dispatcher", "RETRY_BASE_SECONDS", "-1"),
        ("dispatcher", "UNKNOWN_OUTCOMES", "maybe"),
    ],
)
def test_a_wrong_variable_stops_the_start_with_one_sentence_that_names_it(service, name, value):
    answer = check(service, **{name: value})
    assert answer.returncode == 2
    assert name in answer.stderr
    assert "Traceback" not in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_the_sentence_about_the_mail_service_never_tells_the_password():
    answer = check("dispatcher", MAIL_SERVICE_URL="smtp://user:hunter2@localhost:25?what=ever")
    assert answer.returncode == 2
    assert "hunter2" not in answer.stderr


def test_a_secret_can_come_from_a_file(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    answer = check("web", SECRET_KEY="<unset>", SECRET_KEY_FILE=str(secret))
    assert answer.returncode == 0, answer.stderr


def test_both_services_start_with_what_the_tests_give_them():
    for service in ("web", "dispatcher"):
        answer = check(service)
        assert answer.returncode == 0, answer.stderr


def test_a_database_that_does_not_answer_is_said_in_a_sentence():
    environment = {**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nowhere"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    answer = subprocess.run(
        [sys.executable, "services/web/manage.py", "demo"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 1
    assert answer.stderr.startswith("The database does not answer")
    assert len(answer.stderr.splitlines()) == 1

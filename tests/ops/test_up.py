"""The .env of an installation: what `make up` writes, and who reads it how."""

import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
from dotenv import dotenv_values

from dispatcher.providers import url
from local.configuration import Configuration
from ops import OpsError, compose, env_file, projects, up
from tests import needs

ROOT = Path(__file__).parents[2]
MAIL = "smtp+starttls://vestnik:p%27w$HOME#1@smtp.example.org:587?connections=20&timeout=30"
ASKED = {"SITE_URL": "https://vestnik.example.org", "MAIL_SERVICE_URL": MAIL}


def written(file: Path, given: dict[str, str]) -> dict[str, str]:
    added = up.completed(env_file.read(file), given)
    env_file.write(file, added, {}, up.HEADING)
    return added


def test_two_values_are_enough(tmp_path):
    added = written(tmp_path / ".env", ASKED)
    secrets = [added.pop(name) for name in up.MADE]  # type: ignore[attr-defined]
    assert len(set(secrets)) == 3
    assert min(map(len, secrets)) >= 40
    assert added == {
        **ASKED,
        "COMPOSE_PROJECT_NAME": f"{projects.of_folder()}-production",
        "MODE": "production",
        "ALLOWED_HOSTS": "vestnik.example.org",
        "MAIL_FROM": "vestnik@vestnik.example.org",
        "BIND": "127.0.0.1",
        "PORT": "8080",
        "TRUSTED_PROXIES": "2",
        "INBOX_REPLICAS": "0",
        "INBOX_UPSTREAM": "",
    }


def test_its_owner_alone_reads_the_file(tmp_path):
    file = tmp_path / ".env"
    file.write_text("PORT=9000\n")
    file.chmod(0o644)
    written(file, ASKED)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_to_the_file_stays_one(tmp_path):
    (tmp_path / "kept").mkdir()
    link, file = tmp_path / ".env", tmp_path / "kept" / "env"
    link.symlink_to(file)
    written(link, ASKED)
    assert link.is_symlink()
    assert env_file.read(file)["SITE_URL"] == ASKED["SITE_URL"]


def test_compose_python_and_a_shell_read_the_same(tmp_path):
    file = tmp_path / ".env"
    added = written(file, ASKED)
    assert env_file.read(file) == added
    assert dotenv_values(file) == added
    said = subprocess.run(
        ["sh", "-c", f'. {shlex.quote(str(file))}; printf %s "$MAIL_SERVICE_URL"'], capture_output=True, check=True
    )
    assert said.stdout.decode() == MAIL
    needs.compose()
    settings = compose.run(["docker", "compose", "--env-file", str(file), "config"])
    assert f"MAIL_SERVICE_URL: {MAIL.replace('$', '$$')}" in settings
    assert 'INBOX_UPSTREAM: ""' in settings
    assert "SITE_URL: https://vestnik.example.org" in settings


def test_nothing_is_written_twice(tmp_path):
    file = tmp_path / ".env"
    written(file, ASKED)
    before = file.read_text()
    assert up.completed(env_file.read(file), {}) == {}
    assert up.completed(env_file.read(file), ASKED) == {}
    assert file.read_text() == before


def test_what_is_there_stays_and_the_rest_is_added(tmp_path):
    file = tmp_path / ".env"
    file.write_text(
        '# ours\nSITE_URL=https://letters.example.com  # the firm\'s\nexport PORT="9000"\nSECRET_KEY=\nBIND=::1'
    )
    added = written(file, {"MAIL_SERVICE_URL": MAIL})
    assert {"SITE_URL", "PORT", "BIND"}.isdisjoint(added)
    assert added["ALLOWED_HOSTS"] == "letters.example.com"
    assert file.read_text().startswith("# ours\nSITE_URL=https://letters.example.com  # the firm's\n")
    found = env_file.read(file)
    assert found == dotenv_values(file)
    assert (found["PORT"], found["BIND"], found["SECRET_KEY"]) == ("9000", "::1", added["SECRET_KEY"])


@pytest.mark.parametrize("missing", ASKED)
def test_what_is_missing_is_said_and_how_to_try_it_without(missing):
    with pytest.raises(OpsError, match=rf"{missing} is wanted(.|\n)*docker compose up$"):
        up.completed({}, {name: value for name, value in ASKED.items() if name != missing})


def test_every_kind_of_mail_service_that_the_dispatcher_knows_is_taken():
    assert set(up.MAIL_SCHEMES) == url.PARSERS.keys()
    kept = up.completed({}, {**ASKED, "MAIL_SERVICE_URL": "mailgun://key@api.mailgun.net/example.org"})
    assert kept["MAIL_SERVICE_URL"] == "mailgun://key@api.mailgun.net/example.org"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"SITE_URL": "http://vestnik.example.org"}, "^SITE_URL: https://host is wanted"),
        ({"SITE_URL": "https://example.org/vestnik"}, "^SITE_URL: https://host is wanted"),
        ({"SITE_URL": "https://вестник..рф"}, "^SITE_URL: .* is no name of a host"),
        ({"MAIL_SERVICE_URL": "smtp.example.org"}, "^MAIL_SERVICE_URL: smtp://"),
        ({"MODE": "trial"}, "^MODE is trial"),
    ],
)
def test_what_cannot_be_right_is_refused(given, words):
    with pytest.raises(OpsError, match=words):
        up.completed({}, {**ASKED, **given})


def test_an_env_of_make_run_does_not_make_an_installation():
    with pytest.raises(OpsError, match=r"^MODE is local in \.env; take the line out"):
        up.completed({"MODE": "local"}, ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_a_file_with_a_value_is_not_that_value(name):
    there = {f"{name}_FILE": "/run/secrets/x", **{other: ASKED[other] for other in ASKED if other != name}}
    with pytest.raises(OpsError, match=f"{name} is wanted"):
        up.completed(there, {})


def test_a_host_in_other_letters_is_known_by_what_browsers_say(tmp_path):
    added = up.completed({}, {**ASKED, "SITE_URL": "https://Вестник.рф"})
    assert added["ALLOWED_HOSTS"] == "xn--b1agjinxh.xn--p1ai" == "вестник.рф".encode("idna").decode()
    assert added["MAIL_FROM"] == "vestnik@xn--b1agjinxh.xn--p1ai"


def test_another_value_than_the_file_has_is_refused():
    with pytest.raises(OpsError, match=r"SITE_URL has another value in \.env; change it there"):
        up.completed({**ASKED, "SITE_URL": "https://other.example.org"}, ASKED)


def test_what_no_container_is_told_is_refused(monkeypatch):
    monkeypatch.setenv("SITE_URLL", "https://vestnik.example.org")
    with pytest.raises(OpsError, match=r"^SITE_URLL: "):
        up.given(["SITE_URLL"])


def test_a_value_that_some_reader_would_change_is_refused(tmp_path):
    with pytest.raises(OpsError, match=r"^MAIL_FROM: quotes"):
        env_file.write(tmp_path / ".env", {"MAIL_FROM": "o'neill@example.org"}, {}, "")
    assert not (tmp_path / ".env").exists()


def test_the_shell_tells_containers_nothing():
    told = compose.environment(
        {"PATH": "/bin", "DATABASE_URL": "x", "SECRET_KEY": "x", "https_proxy": "p", "DOCKER_HOST": "d"}
    )
    assert told == {"PATH": "/bin", "https_proxy": "p", "DOCKER_HOST": "d"}


def test_make_hands_over_what_its_command_line_says(tmp_path):
    """The real make, up to the refusal of what it was told; the environment's variables are not meant."""
    environment = {**os.environ, "SITE_URL": "https://vestnik.example.org"}
    said = subprocess.run(
        ["make", "up", "SITE_URL=http://a.example.org", f"MAIL_SERVICE_URL={MAIL.replace('$', '$$')}", "MAIL_FORM=x"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.stderr.startswith("MAIL_FORM: ")


def test_make_run_leaves_the_env_of_containers_alone(tmp_path, monkeypatch, capsys):
    for name in ("PYTHON_DOTENV_DISABLED", "MAIL_SERVICE_URL", "SECRET_KEY", "WEB_PORT", "SITE_URL", "MODE"):
        monkeypatch.delenv(name, raising=False)
    written(tmp_path / ".env", ASKED)
    assert Configuration.read(tmp_path).own_mail_service
    assert "SECRET_KEY" not in os.environ
    assert "it is for containers (MODE=production)" in capsys.readouterr().err


def test_make_run_still_reads_an_env_of_its_own(tmp_path, monkeypatch):
    for name in ("PYTHON_DOTENV_DISABLED", "MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEB_PORT", "")
    monkeypatch.delenv("WEB_PORT")
    (tmp_path / ".env").write_text("WEB_PORT=8123\n")
    assert Configuration.read(tmp_path).web_port == 8123

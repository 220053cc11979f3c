"""`make up` beside what is there: which installation it means, and that nothing changes where it fails."""

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops import OpsError, compose, env_file, projects, up
from tests.local.helpers import free_port
from tests.ops.conftest import Docker
from tests.ops.test_up import ASKED

NAME = "letters-production"
SECRETS = {name: f"-{name.lower()}-that-the-volume-has" for name in projects.MADE}
CONFIG = """echo '{"volumes": {'"$(for each in secrets postgres; do
    printf '%s"%s": {"name": "%s_%s"}' "$comma" $each "$3" $each; comma=', '
done)"'}}'"""
"""What compose says of a project's volumes; its third word is the project."""

LOOKS = (" ps --", " volume ls", "config --format", "build secrets", "sh -c for file")
"""What is asked before anything is begun."""


class Machine:
    """A folder called letters, and what the engine has of which project."""

    def __init__(self, docker: Docker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.docker, self.folder = docker, folder
        self.volumes: list[str] = []
        self.env = folder / ".env"
        folder.mkdir()
        shutil.copy(compose.ROOT / "docker-compose.yml", folder)
        for module in (up, projects):
            monkeypatch.setattr(module, "ROOT", folder)
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        self.monkeypatch = monkeypatch
        self.port = str(free_port())
        docker.does("config --format json", CONFIG)

    def has(self, project: str, secrets: Mapping[str, str] = SECRETS, real_use: bool = False, folder: str = "") -> None:
        """Volumes of this project, and containers that were started from the folder."""
        named = f"label=com.docker.compose.project={project}"
        self.volumes.append(f"{project}_secrets")
        self.docker.does("volume ls --quiet", f"echo {' '.join(self.volumes)}")
        said = "".join(f"{secrets.get(name, '')}\\n" for name in projects.MADE) + ("yes\\n" if real_use else "")
        self.docker.does(f"-p {project} run --rm -T --no-deps secrets sh -c for file", f"printf %b '{said}'")
        if folder:
            self.docker.does(f"ps --all --filter {named} --format", f"echo {folder}")

    def writes(self, **values: str) -> None:
        env_file.write(self.env, values, {}, "")

    def goes_up(self, **given: str) -> None:
        for name, value in given.items():
            self.monkeypatch.setenv(name, value)
        up.main(list(given))

    @property
    def told(self) -> list[str]:
        """What was done; what was only looked at is not in it."""
        return [plain(line) for line in self.docker.told if not any(look in f" {line}" for look in LOOKS)]


def plain(line: str) -> str:
    """A command line without what is in a folder for the moment."""
    return " ".join(word for word in line.split() if not word.startswith(("/tmp", "--env-file")))


@pytest.fixture
def machine(docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(docker, tmp_path / "Letters!", monkeypatch)


FROM_ENV = " ".join(up.FROM_ENV)
TRIED = [
    "build",
    *(
        plain(f"run --rm -T --no-deps {FROM_ENV} {service} {' '.join(command)}")
        for service, command in up.TRIED.items()
    ),
]
MIGRATED = [
    "up --detach --wait --no-recreate --no-deps postgres redis",
    f"run --rm -T --no-deps {FROM_ENV} migrate",
]
REPLACED = ["up --detach --wait web dispatcher control scheduler", "up --detach --wait --remove-orphans"]


def of(project: str, *lines: str) -> list[str]:
    return [f"-p {project} {line}" for line in lines]


def test_a_first_start_has_a_name_that_no_trial_gets_and_is_written_when_all_was_tried(machine):
    machine.goes_up(**ASKED, PORT=machine.port)
    assert env_file.read(machine.env)["COMPOSE_PROJECT_NAME"] == NAME != projects.of_folder()
    once = ["run --rm -T secrets", "run --rm -T migrate"]
    assert machine.told == of(NAME, *TRIED, *once, *REPLACED)


@pytest.mark.parametrize("step", ["build", "secrets sh -c mkdir", "web python", "dispatcher python", "nginx nginx"])
def test_of_a_first_start_that_fails_nothing_stays(machine, step):
    machine.docker.does(step, "exit 2")
    with pytest.raises(OpsError, match=r"Nothing was changed: what ran runs, and \.env is as it was\.$"):
        machine.goes_up(**ASKED, PORT=machine.port)
    assert not machine.env.exists()
    assert machine.told[-1] == f"-p {NAME} down --volumes"
    assert not machine.docker.order(f"-p {NAME} up", f"-p {NAME} run --rm -T secrets")


def test_volumes_that_were_there_before_it_outlive_a_first_start_that_fails(machine):
    """Made by hand, say, to be filled from elsewhere: nothing but their names tells whose they are."""
    machine.docker.does("volume ls --quiet", f"echo {NAME}_postgres")
    machine.docker.does("web python", "exit 2")
    with pytest.raises(OpsError, match="Nothing was changed"):
        machine.goes_up(**ASKED, PORT=machine.port)
    assert machine.told[-1] == f"-p {NAME} down"


def test_a_database_whose_secrets_are_lost_is_connected_to_before_anything_is_written(machine):
    machine.docker.does("volume ls --quiet", f"echo {NAME}_postgres")
    machine.docker.does("PG_VERSION", "echo yes")
    machine.docker.does(
        f"{FROM_ENV} migrate", f"""echo '{NAME}_postgres {NAME}_secrets' > {machine.folder}/volumes; exit 1"""
    )
    machine.docker.does("volume ls --quiet", f"cat {machine.folder}/volumes 2>/dev/null || echo {NAME}_postgres")
    with pytest.raises(OpsError, match="POSTGRES_PASSWORD has to be the one that the database was made with"):
        machine.goes_up(**ASKED, PORT=machine.port, POSTGRES_PASSWORD="not-the-one-it-was-made-with")
    assert not machine.env.exists()
    assert machine.told[-2:] == [f"-p {NAME} down", f"volume rm {NAME}_secrets"]


def test_a_database_whose_secrets_are_lost_goes_on_by_its_password(machine):
    machine.docker.does("volume ls --quiet", f"echo {NAME}_postgres")
    machine.docker.does("PG_VERSION", "echo yes")
    machine.goes_up(**ASKED, PORT=machine.port, POSTGRES_PASSWORD="the-one-it-was-made-with")
    begun = machine.told[len(TRIED) + 1 :]
    assert begun == of(NAME, "run --rm -T secrets", *MIGRATED, "run --rm -T --no-deps secrets", *REPLACED)


def real(machine: Machine, **values: str) -> dict[str, str]:
    """An installation that was made here."""
    machine.goes_up(**ASKED, PORT=machine.port)
    there = env_file.read(machine.env)
    machine.has(NAME, {name: there[name] for name in projects.MADE}, real_use=True, folder=str(machine.folder))
    machine.docker.forget()
    for name in (*ASKED, "PORT"):
        machine.monkeypatch.delenv(name)
    return there


def test_the_next_start_migrates_before_it_writes_secrets_and_replaces_nginx_last(machine):
    before = real(machine)
    machine.goes_up()
    assert machine.told == of(NAME, *TRIED, *MIGRATED, "run --rm -T --no-deps secrets", *REPLACED)
    assert env_file.read(machine.env) == before


@pytest.mark.parametrize(
    "step", ["compose -p letters-production --env-file", "web python", "postgres redis", "migrate"]
)
@pytest.mark.parametrize("given", [{}, {"SECRET_KEY": "another-key-of-more-than-32-characters", "RATE_LIMITS": "5/s"}])
def test_a_start_that_fails_has_written_and_replaced_nothing_of_what_is_there(machine, step, given):
    real(machine)
    before = machine.env.read_bytes()
    machine.docker.does(step, "exit 1")
    with pytest.raises(OpsError, match=r"Nothing else: what ran runs, and \.env is as it was\.$") as refusal:
        machine.goes_up(**given)
    assert up.BUILT in str(refusal.value)
    assert (up.MIGRATED in str(refusal.value)) == (step in ("postgres redis", "migrate"))
    assert machine.env.read_bytes() == before
    assert not [line for line in machine.told if "down" in line or line.endswith(("secrets", *REPLACED))]


@pytest.mark.parametrize(("ran", "stopped"), [("", "postgres redis"), ("postgres", "redis"), ("postgres redis", "")])
def test_what_a_start_that_fails_has_begun_is_stopped_and_what_ran_runs(machine, ran, stopped):
    real(machine)
    look = f"ps --filter label=com.docker.compose.project={NAME} --format"
    machine.docker.does(look, f"echo {ran}")
    machine.docker.does("postgres redis", f"echo postgres redis > {machine.folder}/up")
    machine.docker.does(look, f"cat {machine.folder}/up 2>/dev/null || echo {ran}")
    machine.docker.does("migrate", "exit 1")
    with pytest.raises(OpsError, match="This was changed"):
        machine.goes_up()
    assert [line for line in machine.told if " stop" in line] == of(NAME, *([f"stop {stopped}"] if stopped else []))


def test_what_could_not_be_undone_is_said(machine):
    machine.docker.does("web python", "exit 2")
    machine.docker.does("down --volumes", "echo no engine any more >&2; exit 1")
    with pytest.raises(OpsError, match=r"could not be undone(.|\n)*no engine any more"):
        machine.goes_up(**ASKED, PORT=machine.port)


def test_a_key_that_changes_becomes_a_fallback_and_stands_in_the_place_of_the_old_one(machine):
    before = real(machine)
    machine.goes_up(SECRET_KEY="second-key-of-more-than-32-characters")
    machine.goes_up(SECRET_KEY="third--key-of-more-than-32-characters")
    there = env_file.read(machine.env)
    assert there["SECRET_KEY"].startswith("third")
    assert there["SECRET_KEY_FALLBACKS"] == f"second-key-of-more-than-32-characters,{before['SECRET_KEY']}"
    assert machine.env.read_text().count("SECRET_KEY=") == 1
    machine.goes_up(SECRET_KEY="forth--key-of-more-than-32-characters")
    assert before["SECRET_KEY"] not in machine.env.read_text()
    assert before | {"SECRET_KEY": "", "SECRET_KEY_FALLBACKS": ""} == env_file.read(machine.env) | {
        "SECRET_KEY": "",
        "SECRET_KEY_FALLBACKS": "",
    }


def test_a_key_that_got_known_is_good_for_nothing_more_where_that_is_said(machine):
    real(machine)
    machine.goes_up(SECRET_KEY="second-key-of-more-than-32-characters", SECRET_KEY_FALLBACKS="")
    assert env_file.read(machine.env)["SECRET_KEY_FALLBACKS"] == ""
    machine.goes_up(SECRET_KEY="third--key-of-more-than-32-characters")
    machine.goes_up(SECRET_KEY_FALLBACKS="")
    assert env_file.read(machine.env)["SECRET_KEY_FALLBACKS"] == ""


def test_the_doors_secret_changes_and_the_databases_password_does_not_by_the_command_line(machine):
    before = real(machine)
    machine.goes_up(FRONT_SECRET="another-secret-of-the-door")
    assert env_file.read(machine.env) == before | {"FRONT_SECRET": "another-secret-of-the-door"}
    with pytest.raises(OpsError, match=r"^POSTGRES_PASSWORD has another value in \.env"):
        machine.goes_up(POSTGRES_PASSWORD="another-password")


def test_an_installation_that_lost_its_env_is_not_begun_again(machine):
    machine.has(NAME, real_use=True, folder=str(machine.folder))
    with pytest.raises(OpsError, match=rf"^{NAME} is in real use .*\.env"):
        machine.goes_up(**ASKED, PORT=machine.port)
    assert not machine.told
    assert not machine.env.exists()


def test_it_goes_on_with_its_secrets_where_its_name_is_said(machine):
    machine.has(NAME, real_use=True, folder=str(machine.folder))
    machine.goes_up(**ASKED, PORT=machine.port, COMPOSE_PROJECT_NAME=NAME)
    assert env_file.read(machine.env).items() >= SECRETS.items()
    assert machine.told[len(TRIED) : len(TRIED) + 2] == of(NAME, *MIGRATED)


@pytest.mark.parametrize("named", [{}, {"COMPOSE_PROJECT_NAME": NAME}])
def test_what_was_started_from_another_folder_is_left_alone(machine, named):
    machine.has(NAME, real_use=True, folder="/srv/letters")
    with pytest.raises(OpsError, match=rf"^{NAME} was started from /srv/letters.*COMPOSE_PROJECT_NAME=another"):
        machine.goes_up(**ASKED, **named, PORT=machine.port)
    assert not machine.told
    assert not machine.env.exists()


def test_who_brings_the_env_along_moves_the_installation(machine):
    machine.has(NAME, real_use=True, folder="/srv/letters")
    machine.writes(**ASKED, **SECRETS, COMPOSE_PROJECT_NAME=NAME, MODE="production", PORT=machine.port)
    machine.goes_up()
    assert machine.told[len(TRIED) : len(TRIED) + 2] == of(NAME, *MIGRATED)


def test_an_installation_of_the_version_before_goes_on_under_its_name(machine):
    machine.has("vestnik", folder="/srv/letters-of-last-year")
    machine.writes(**ASKED, **SECRETS, MODE="production", PORT=machine.port)
    machine.goes_up()
    assert env_file.read(machine.env)["COMPOSE_PROJECT_NAME"] == "vestnik"
    assert machine.told[len(TRIED) : len(TRIED) + 2] == of("vestnik", *MIGRATED)
    assert not [line for line in machine.told if "stop" in line or "cp" in line]


def test_what_another_env_made_under_that_name_is_left_alone(machine):
    machine.has("vestnik", folder="/srv/vestnik")
    machine.writes(**ASKED, **dict.fromkeys(SECRETS, "of-this-env-and-no-other"), MODE="production", PORT=machine.port)
    machine.goes_up()
    assert env_file.read(machine.env)["COMPOSE_PROJECT_NAME"] == NAME
    assert all(line.startswith(f"-p {NAME} ") for line in machine.told)


@pytest.mark.parametrize(
    ("trial", "folder"),
    [("letters", "here"), ("letters", ""), ("vestnik", "here")],
    ids=["", "without containers", "old"],
)
def test_a_trial_of_this_folder_becomes_real_under_another_name_and_stays_itself(machine, capfd, trial, folder):
    machine.has(
        trial,
        {name: SECRETS[name] for name in ("SECRET_KEY", "POSTGRES_PASSWORD")},
        folder=folder and str(machine.folder),
    )
    machine.goes_up(**ASKED, PORT=machine.port)
    there = env_file.read(machine.env)
    assert there["COMPOSE_PROJECT_NAME"] == NAME
    assert (there["SECRET_KEY"], there["POSTGRES_PASSWORD"]) == (SECRETS["SECRET_KEY"], SECRETS["POSTGRES_PASSWORD"])
    assert len(there["FRONT_SECRET"]) >= 40
    moved = machine.told[len(TRIED) : len(TRIED) + 7]
    assert moved[0] == f"-p {trial} stop"
    copied = " ".join(moved[1:3])
    assert f"--volume {trial}_postgres:/from:ro --entrypoint postgres cp -a /from/. /var/lib/postgresql/data" in copied
    assert f"--volume {trial}_media:/from:ro --entrypoint web cp -a /from/. /srv/media" in copied
    assert moved[3:] == of(NAME, "run --rm -T secrets", *MIGRATED, "run --rm -T --no-deps secrets")
    assert f"docker compose -p {trial} down --volumes" in capfd.readouterr().out


@pytest.mark.parametrize("ran", ["", "nginx postgres web"])
@pytest.mark.parametrize("step", ["/from", "postgres redis", "migrate"])
def test_a_trial_that_could_not_be_copied_or_connected_to_goes_on_as_it_ran(machine, step, ran):
    machine.has("letters", folder=str(machine.folder))
    machine.docker.does("ps --filter label=com.docker.compose.project=letters --format", f"echo {ran}")
    machine.docker.does(step, "exit 1")
    with pytest.raises(OpsError, match="Nothing was changed"):
        machine.goes_up(**ASKED, PORT=machine.port)
    assert machine.told[-1] == f"-p {NAME} down --volumes"
    started = [line for line in machine.told if line.startswith("-p letters start")]
    assert started == (["-p letters start nginx postgres web"] if ran else [])
    assert not machine.env.exists()


@pytest.mark.parametrize("said", ["command line", ".env"])
def test_another_password_than_the_trials_is_refused_before_anything_is_begun(machine, said):
    machine.has("letters", folder=str(machine.folder))
    given = {"POSTGRES_PASSWORD": "another-password-than-the-trials"}
    if said == ".env":
        machine.writes(**given)
    with pytest.raises(OpsError, match=r"^POSTGRES_PASSWORD: the database of the trial letters goes along"):
        machine.goes_up(**ASKED, PORT=machine.port, **(given if said == "command line" else {}))
    assert not machine.told


@pytest.mark.parametrize("said", ["command line", ".env"])
def test_the_trials_own_password_may_be_said(machine, said):
    machine.has("letters", folder=str(machine.folder))
    given = {"POSTGRES_PASSWORD": SECRETS["POSTGRES_PASSWORD"]}
    if said == ".env":
        machine.writes(**given)
    machine.goes_up(**ASKED, PORT=machine.port, **(given if said == "command line" else {}))
    assert env_file.read(machine.env)["POSTGRES_PASSWORD"] == SECRETS["POSTGRES_PASSWORD"]


@pytest.mark.parametrize(
    ("trial", "folder"), [("letters", "/srv/letters"), ("vestnik", "/srv/vestnik"), ("vestnik", "")]
)
def test_a_trial_that_is_not_of_this_folder_is_left_alone(machine, trial, folder):
    machine.has(trial, folder=folder)
    machine.goes_up(**ASKED, PORT=machine.port)
    assert all(line.startswith(f"-p {NAME} ") for line in machine.told)
    assert set(SECRETS.values()).isdisjoint(env_file.read(machine.env).values())


def test_what_was_in_real_use_under_a_trials_name_is_no_trial(machine):
    machine.has("letters", real_use=True, folder=str(machine.folder))
    with pytest.raises(OpsError, match=r"^letters is in real use"):
        machine.goes_up(**ASKED, PORT=machine.port)
    assert not machine.told


def test_a_taken_port_is_found_before_anything_is_begun_unless_it_is_taken_by_what_makes_room(machine):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(OpsError, match=rf"^PORT: 127\.0\.0\.1:{port} is taken"):
            machine.goes_up(**ASKED, PORT=port)
        machine.docker.does(f"publish={port}", "echo another")
        with pytest.raises(OpsError, match=r"is taken by another; say another"):
            machine.goes_up(**ASKED, PORT=port)
        assert not machine.told
        assert not machine.env.exists()
        machine.docker.does(f"publish={port}", f"echo {NAME}")
        machine.goes_up(**ASKED, PORT=port)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"PORT": "http"}, "^PORT: a number"),
        ({"BIND": "192.0.2.1"}, "^BIND: .* no address of this machine"),
        ({"BIND": "no.such.host.invalid"}, "^BIND: an address"),
        ({"COMPOSE_PROJECT_NAME": "Ours & Theirs"}, "^COMPOSE_PROJECT_NAME: small letters"),
        ({"SSL_CERT_FILE": "ca.pem"}, "^SSL_CERT_FILE: the path of a file is wanted that begins with /"),
        ({"SSL_CERT_FILE": "ops/ca.pem"}, "^SSL_CERT_FILE: the path of a file is wanted that begins with /"),
        ({"SSL_CERT_FILE": "~/ca.pem"}, "^SSL_CERT_FILE: the path of a file is wanted that begins with /"),
        ({"SSL_CERT_FILE": "/nowhere/ca.pem"}, "^SSL_CERT_FILE: there is no file /nowhere/ca.pem"),
        ({"SSL_CERT_FILE": "./ca.pem"}, "^SSL_CERT_FILE: there is no file ./ca.pem"),
        ({"SSL_CERT_FILE": "/etc"}, "^SSL_CERT_FILE: there is no file /etc"),
    ],
)
def test_what_docker_would_refuse_at_the_end_is_refused_at_the_beginning(machine, given, words):
    with pytest.raises(OpsError, match=words):
        machine.goes_up(**{**ASKED, "PORT": machine.port, **given})
    assert not machine.told


@pytest.mark.parametrize("name", ["./ca.pem", "../letters-ca.pem", "the whole path"])
def test_a_file_of_certificates_is_found_from_the_folder(machine, name):
    file = machine.folder / ("ca.pem" if name == "the whole path" else name)
    file.touch()
    machine.goes_up(**ASKED, PORT=machine.port, SSL_CERT_FILE=str(file) if name == "the whole path" else name)
    assert machine.env.exists()


@pytest.mark.parametrize(
    ("folder", "name"),
    [("vestnik", "vestnik"), ("My.Folder", "myfolder"), ("_-a b_2", "ab_2"), ("Вестник", "vestnik"), ("v1.2", "v12")],
)
def test_a_trial_is_called_as_compose_calls_it(folder, name):
    assert projects.of_folder(Path("/srv") / folder) == name

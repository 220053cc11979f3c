"""docker-compose.yml as an operator reads it. What the engine makes of it, `make smoke` looks at."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

import vestnik
from ops import up
from ops.compose import ROOT, Compose, environment
from tests import needs

MAKERS = {"database-secret", "secrets"}
READERS = {"secrets", "migrate", "web", "dispatcher", "control", "scheduler", "bounces"}
BYTES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Without any variable: a trial."""
    needs.compose()
    nothing = tmp_path_factory.mktemp("env") / "env"
    nothing.touch()
    return dict(json.loads(Compose(env_file=nothing)("config", "--format", "json"))["services"])


def volumes(service: dict[str, Any]) -> set[str]:
    return {volume["source"] for volume in service.get("volumes", ())}


def test_what_strangers_talk_to_reaches_neither_the_data_nor_foreign_secrets(services):
    for door in ("nginx", "inbox"):
        assert "data" not in services[door]["networks"]
        assert volumes(services[door]).isdisjoint({"secrets", "postgres", "redis"})
    for inner in ("postgres", "redis", "cache"):
        assert set(services[inner]["networks"]) == {"data"}


def test_the_mail_services_password_is_told_those_only_who_send(services):
    told = {name for name, service in services.items() if "MAIL_SERVICE_URL" in service.get("environment", {})}
    assert told == {"dispatcher", "control", "scheduler", "bounces"}


@pytest.mark.parametrize(
    ("changed", "readers"),
    [
        ("SECRET_KEY", READERS),
        ("FRONT_SECRET", READERS | {"nginx"}),
        ("DATABASE_URL", READERS),
        ("POSTGRES_PASSWORD", READERS | {"database-secret"}),
        ("MODE", READERS | {"database-secret", "nginx"}),
        ("SECRET_KEY_FALLBACKS", READERS - {"secrets"}),
        ("MAIL_SERVICE_URL", {"dispatcher", "control", "scheduler", "bounces"}),
    ],
)
def test_containers_are_replaced_when_a_secret_of_theirs_changes(services, tmp_path, changed, readers):
    def hashes(value: str) -> set[str]:
        (tmp_path / "env").write_text(f"{changed}='{value}'\n")
        return set(Compose(env_file=tmp_path / "env")("config", "--hash", "*").splitlines())

    assert {line.split()[0] for line in hashes("one") - hashes("another")} == readers


def test_redis_refuses_before_the_kernel_kills_it(services):
    for name, share in (("redis", 2), ("cache", 2)):  # rewriting the file copies what changes meanwhile
        command = services[name]["command"]
        most = command[command.index("--maxmemory") + 1]
        assert int(most[:-2]) * BYTES[most[-2]] * share <= int(services[name]["mem_limit"])


def test_files_of_any_size_wait_on_the_disk(services):
    for name in ("web", "control"):
        assert services[name]["environment"]["SCRATCH_ROOT"] == "/srv/scratch"
        assert "scratch" in volumes(services[name])
    for name in ("web", "control", "dispatcher", "nginx"):
        assert any("/tmp:size=" in each for each in services[name]["tmpfs"])


def test_nginx_answers_for_itself(services):
    assert services["nginx"]["healthcheck"]["test"][-1].endswith("/front/alive")


def dependants(services: dict[str, Any], name: str) -> set[str]:
    """Who is restarted with a service: those who wait for it, and those who wait for them."""
    found = {each for each, service in services.items() if name in service.get("depends_on", ())}
    return found.union(*(dependants(services, each) for each in found))


def test_a_secret_of_the_web_that_changes_leaves_postgresql_and_redis_alone(services):
    assert dependants(services, "secrets") == {
        "migrate",
        "web",
        "dispatcher",
        "control",
        "scheduler",
        "bounces",
        "nginx",
    }
    assert "postgres" in dependants(services, "database-secret")


def test_nothing_that_reads_what_was_kept_starts_where_the_first_start_refuses(services):
    readers = {name for name, service in services.items() if volumes(service) & {"secrets", "postgres"}} - MAKERS
    assert readers <= dependants(services, "database-secret") == {*readers, "secrets", "nginx"}
    assert all(services[name]["environment"]["MODE"] == "trial" for name in MAKERS)


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """The services as the file has them, for which nothing but a reader of YAML is wanted."""
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])


def test_who_is_told_of_a_file_has_it(written):
    for name, service in written.items():
        paths = set(re.findall(r"/srv/\w+\.\w+", json.dumps(service.get("environment", {}))))
        mounted = {each["target"] for each in service.get("volumes", ()) if isinstance(each, dict)}
        assert paths <= mounted, name
    assert {name for name, service in written.items() if "/srv/trusted.pem" in str(service.get("volumes"))} == {
        "dispatcher", "control", "scheduler", "bounces",
    }  # fmt: skip


def test_a_file_that_is_not_there_becomes_neither_a_volume_nor_a_folder(written):
    for service in written.values():
        for each in service.get("volumes", ()):
            if isinstance(each, dict):
                assert (each["type"], each["bind"]) == ("bind", {"create_host_path": False})
            else:
                assert re.fullmatch(r"[a-z-]+:/[^:]+(:ro)?", each), "a named volume, whatever is said"


def test_every_service_that_has_settings_of_its_own_is_tried_before_it_starts(written):
    def settings(name: str) -> tuple[str, str]:
        return str(written[name].get("environment")), str(sorted(map(str, written[name].get("volumes", ()))))

    others = {"database-secret", "postgres", "redis", "cache", "migrate", "inbox"}  # not ours, or tried by being run
    tried = {settings(name) for name in up.TRIED}
    assert {name for name in written if settings(name) not in tried} <= others


@pytest.mark.usefixtures("services")
def test_two_folders_are_two_installations_and_share_no_image(tmp_path):
    found = []
    for folder in ("first", "second"):
        place = tmp_path / folder
        place.mkdir()
        shutil.copy(ROOT / "docker-compose.yml", place)
        answer = subprocess.run(
            ["docker", "compose", "config", "--format", "json"],
            cwd=place, env=environment(), capture_output=True, check=True,
        )  # fmt: skip
        said = json.loads(answer.stdout)
        names = {said["name"], *(volume["name"] for volume in said["volumes"].values())}
        built = {service["image"] for service in said["services"].values() if "build" in service}
        assert {image.partition(":")[2] for image in built} == {"", vestnik.__version__}
        assert f"{folder}-first-start" in built  # of any version: PostgreSQL would restart with it
        found.append(names | built)
    assert not found[0] & found[1]
    assert all(name.startswith("first") for name in found[0])

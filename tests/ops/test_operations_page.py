"""What docs/operations.md has people type is there: services, commands, targets."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
SERVICES = set(re.findall(r"^  ([a-z-]+):", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE))
COMMANDS = {"web": ROOT / "services/web/web", "control": ROOT / "services/dispatcher/dispatcher"}
DJANGO = {"createsuperuser", "shell", "…"}
IN_A_CONTAINER = re.findall(r"docker compose exec (?:-T )?(\S+) python -m (\S+) ?(\S*)", PAGE)


def test_the_page_has_commands():
    assert len(IN_A_CONTAINER) > 10


@pytest.mark.parametrize(("service", "module", "command"), IN_A_CONTAINER)
def test_a_command_is_one_of_the_service_that_it_is_asked_of(service, module, command):
    assert service in SERVICES
    if module not in ("vestnik", "django"):
        return
    found = {path.stem for path in (COMMANDS[service] / "management/commands").glob("*.py")}
    assert command.rstrip("`") in found | DJANGO


def test_targets_of_make_that_are_named_are_there():
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", PAGE)) <= targets


def test_no_command_wants_what_only_a_checkout_has_without_saying_so():
    lines = [line for line in PAGE.splitlines() if line.startswith("    ")]
    assert not [line for line in lines if "manage.py" in line or line.strip().startswith("redis-cli")]


def test_new_majors_of_servers_are_left_to_a_person():
    """Their data has to be brought over, or their configuration read again."""
    parts = (ROOT / ".github/dependabot.yml").read_text().split("- package-ecosystem: ")
    for ecosystem in ("docker\n", "docker-compose\n"):
        [part] = [part for part in parts if part.startswith(ecosystem)]
        for server in ("postgres", "redis", "nginx"):
            assert f'{{dependency-name: {server}, update-types: ["version-update:semver-major"]}}' in part

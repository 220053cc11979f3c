"""The house itself: which room may import from which, and what the two services agree on."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "vestnik": ROOT / "shared" / "vestnik",
    "web": ROOT / "services" / "web" / "web",
    "dispatcher": ROOT / "services" / "dispatcher" / "dispatcher",
}
FOREIGN = {"vestnik": {"web", "dispatcher"}, "web": {"dispatcher"}, "dispatcher": {"web"}}
EVERYWHERE_FOREIGN = {"local", "tests", "bench", "tools", "ops"}


def imports(path: Path) -> set[str]:
    """The top-level packages that a module imports, at its head or in a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_web_to_vestnik_and_dispatcher_to_vestnik(room):
    files = list(ROOMS[room].rglob("*.py"))
    assert files
    wrong = {
        str(path.relative_to(ROOT)): crossed
        for path in files
        if (crossed := imports(path) & (FOREIGN[room] | EVERYWHERE_FOREIGN))
    }
    assert not wrong


def test_no_room_has_grown_too_large():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for package in (*ROOMS.values(), ROOT / "local")
        for path in package.rglob("*.py")
        if "migrations" not in path.parts
    }
    assert not {path: length for path, length in lengths.items() if length > 400}


def test_every_job_of_the_contract_is_bound_to_an_actor():
    script = (
        "from dispatcher import main; import dramatiq; from vestnik import jobs;"
        "declared = {(a.actor_name, a.queue_name) for a in dramatiq.get_broker().actors.values()};"
        "contract = {(j.name, j.queue) for j in vars(jobs).values() if isinstance(j, jobs.Job)};"
        "assert declared == contract, (declared, contract)"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "dispatcher.settings"}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


def test_the_models_have_their_migrations(db):
    from django.core.management import call_command

    call_command(
        "makemigrations", "--check", "--dry-run", "accounts", "blog", "clients", "front", "installation", "mailings"
    )

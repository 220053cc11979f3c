"""The house itself: which room may import from which, and what the two services agree on."""

import ast
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "vestnik": ROOT / "shared" / "vestnik",
    "web": ROOT / "services" / "web" / "web",
    "dispatcher": ROOT / "services" / "dispatcher" / "dispatcher",
}
FLOORS = {
    "vestnik": (
        "addresses bounded_calls cache clock encryption first_start heartbeats jobs locks logs mail mode names"
        " planner spreadsheets versions zones",
        "fields installation settings",
        "accounts error_tracking redis_client",
        "access dead_jobs homepage_hint sharing_letters",
        "clients command_line senders",
        "mailings",
        "client_deletion front metrics sharing testing",
        "account_deletion blog confirmation supervision unsubscribing",
        "demo",
    ),
    "dispatcher": (
        "domain_checks health link_trial page_refresh providers",
        "bounces ledger metrics",
        "account_erasure pace",
        "sending settings",
        "account_mail",
        "runs",
        "actors management",
        "queue",
        "main",
    ),
    "web": (
        "webhooks",
        "admin_config form_renderer formats forms front gunicorn_config health management middleware onboarding paging"
        " request_metrics responses settings tables wsgi",
        "accounts admin_site blog pages",
        "admin clients dead_letters home messages profile senders sharing suppressions unsubscribe",
        "lists runs urls",
        "mailings overview templatetags",
        "panel",
    ),
}
"""The rooms of each package, from the ground up: a room knows those below it, and none beside or above it."""

FOREIGN = {"vestnik": {"web", "dispatcher"}, "web": {"dispatcher"}, "dispatcher": {"web"}}
EVERYWHERE_FOREIGN = {"local", "tests", "bench", "tools", "ops"}


def files_of_ours() -> list[Path]:
    """The files of the repository, without what is installed or made."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    return [ROOT / line for line in listed.stdout.decode().splitlines() if (ROOT / line).is_file()]


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


def rooms_within(package: str, path: Path) -> set[str]:
    """The rooms of its own package that a module imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{package}.")}
    return found


@pytest.mark.parametrize("package", ROOMS)
def test_within_a_package_imports_run_down(package):
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS[package]) for room in rooms.split()}
    wrong = []
    for path in ROOMS[package].rglob("*.py"):
        room = path.relative_to(ROOMS[package]).with_suffix("").parts[0]
        if room in ("__init__", "__main__") or "migrations" in path.parts:
            continue
        assert room in floor_of, f"{room} has no floor yet (FLOORS)"
        above = {other for other in rooms_within(package, path) if other != room}
        above = {other for other in above if floor_of.get(other, -1) >= floor_of[room]}
        wrong += [(str(path.relative_to(ROOT)), other) for other in above]
    assert not wrong
    assert all((ROOMS[package] / room).is_dir() or (ROOMS[package] / f"{room}.py").exists() for room in floor_of)


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
        "makemigrations",
        "--check",
        "--dry-run",
        "accounts",
        "blog",
        "clients",
        "front",
        "installation",
        "mailings",
        "senders",
    )


def assigned(node: ast.AST) -> Iterator[ast.AST]:
    """What a statement assigns to, with its parts."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else targets
    return (part for target in targets for part in ast.walk(target))


def test_no_test_assigns_a_private_name_of_the_product():
    """`monkeypatch.setattr` says when the name is gone; an assignment makes one up, and tests nothing from then on."""
    found = [
        f"{path.relative_to(ROOT)}:{part.lineno}"
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for part in assigned(node)
        if isinstance(part, ast.Attribute) and re.match("_[^_]", part.attr) and ast.unparse(part.value) != "self"
    ]
    assert not found


NAMED = re.compile(r"(?<![\w./*{-])((?:[\w-]+/)*[\w-]+\.(?:py|md|sh|toml))\b(?![(*/])")
"""A file that a comment, a docstring or a page names."""

OTHERS = {"README.md", "manage.py", "models.py", "settings.py", "ADDING_ESPS.md"}


def prose(path: Path) -> Iterator[str]:
    """The comments and docstrings of a module, or the text of a page."""
    if path.suffix == ".md":
        yield path.read_text()
        return
    with path.open("rb") as file:
        yield from (token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def test_files_that_comments_and_pages_name_are_there():
    known = [path.relative_to(ROOT).as_posix() for path in files_of_ours()]
    gone = set()
    for path in files_of_ours():
        if path.suffix not in (".py", ".md") or "decisions" in path.parts or path.name == "CHANGELOG.md":
            continue
        for text in prose(path):
            for name in NAMED.findall(text):
                if name not in OTHERS and not any(f"/{each}".endswith(f"/{name}") for each in known):
                    gone.add((path.relative_to(ROOT).as_posix(), name))
    assert not gone


def test_the_page_of_rooms_names_every_file_that_is_there():
    named, base = {}, None
    for line in (ROOT / "docs" / "rooms.md").read_text().splitlines():
        if line.startswith("## "):
            found = re.search(r"`([\w/]+)/`", line)
            base = ROOT / found[1] if found else ROOT
            named.setdefault(base, set())
        elif line.startswith("| `"):
            named[base] |= set(re.findall(r"`([\w./-]+)`", line.split("|")[1]))
    for package, path in ROOMS.items():
        names = named[path]
        for file in path.rglob("*.py"):
            place = file.relative_to(path)
            if "migrations" in place.parts or place.name in ("__init__.py", "apps.py", "urls.py"):
                continue
            folders = {f"{folder.as_posix()}/" for folder in place.parents}
            assert place.as_posix() in names or folders & names, f"{package}: {place} is not in docs/rooms.md"

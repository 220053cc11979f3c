"""What `make backup` leaves behind, and what it does not where something goes wrong."""

import json
import os
import resource
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops import OpsError, backup
from ops.compose import Compose

ROOT = Path(__file__).parents[2]
ELSEWHERE = """echo '{"services": {"secrets": {"environment": {"DATABASE_URL": "postgresql://db.example.org/x"}}}}'"""
COUNT = "SELECT count(*) FROM django_migrations"


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file becomes larger than this: what a full disk does, but for its errno."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_it_has_the_database_the_pictures_and_last_what_it_is(site, tmp_path):
    file = backup.write(Compose(), tmp_path / "backups")
    with tarfile.open(file) as archive:
        names = archive.getnames()
        about = json.load(archive.extractfile("about.json"))
    assert names == ["database.dump", "media/blog/sunrise/480.jpg", "about.json"]
    assert [(len(about["migrations"]),)] == site.database.sql(COUNT)
    assert left(tmp_path / "backups") == [file.name]


def test_its_owner_alone_reads_it(site, tmp_path):
    before = os.umask(0)
    try:
        file = backup.write(Compose(), tmp_path / "backups")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_database_elsewhere_is_not_taken_for_backed_up(site, tmp_path):
    site.docker.does("config --format json", ELSEWHERE)
    with pytest.raises(OpsError, match=r"DATABASE_URL names a PostgreSQL elsewhere"):
        backup.write(Compose(), tmp_path / "backups")
    assert left(tmp_path / "backups") == []


@pytest.mark.parametrize(
    ("words", "shell", "said"),
    [
        ("pg_dump", "echo half a dump; exit 1", "The database could not be read: pg_dump's exit code is 1"),
        ("web tar", "exit 1", r"The pictures could not be read \(exit code 1\)"),
        ("web tar", "tar -C /etc -cf - passwd | head -c 700; exit 137", r"could not be read \(exit code 137\)"),
        ("psql", "echo 'service \"postgres\" is not running' >&2; exit 1", "is not running"),
    ],
)
def test_nothing_is_left_of_one_that_fails(site, tmp_path, words, shell, said):
    site.docker.does(words, shell)
    with pytest.raises(OpsError, match=said):
        backup.write(Compose(), tmp_path / "backups")
    assert left(tmp_path / "backups") == []


@pytest.mark.parametrize("size", [10_000, 200_000])
def test_a_full_disk_is_a_sentence_and_leaves_nothing(site, tmp_path, size):
    site.add_picture("large", os.urandom(300_000))
    with room(size), pytest.raises(OpsError, match=r"vestnik-.*\.tar cannot be written: File too large\."):
        backup.write(Compose(), tmp_path / "backups")
    assert left(tmp_path / "backups") == []


@pytest.mark.parametrize("words", ["pg_dump", "web tar"])
def test_nothing_is_left_of_one_that_is_interrupted(site, tmp_path, words):
    site.docker.does(words, "kill -INT $PPID")
    with pytest.raises(KeyboardInterrupt):
        backup.write(Compose(), tmp_path / "backups")
    assert left(tmp_path / "backups") == []


def test_the_unfinished_file_of_another_is_left_alone(site, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((2026, 11, 23, 19, 30, 0, 0, 327, 0)))
    others = tmp_path / "vestnik-2026-11-23T193000Z.tar.part"
    others.write_text("half a backup")
    with pytest.raises(OpsError, match=r"cannot be written: File exists"):
        backup.write(Compose(), tmp_path)
    assert others.read_text() == "half a backup"


def test_an_upgrade_meanwhile_spoils_it(site, tmp_path):
    applied = site.shell_sql("INSERT INTO django_migrations VALUES (9999, 'a', 'b', now())")
    site.docker.does("web tar", f'{applied}; shift 9; exec tar -C {site.media} "$@"')
    with pytest.raises(OpsError, match="The database was upgraded meanwhile"):
        backup.write(Compose(), tmp_path / "backups")
    assert left(tmp_path / "backups") == []


def test_there_is_one_at_a_time():
    with backup.alone():
        said = subprocess.run(["make", "backup"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode
    assert said.stderr.startswith("Another backup or restore is under way here")


def test_a_machine_without_docker_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OpsError, match="There is no docker on this machine"):
        backup.write(Compose(), tmp_path / "backups")

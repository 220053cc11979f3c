"""`make restore`: what it refuses, what it does, and how things stand where it fails or is interrupted."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from threading import Event, Thread

import pytest

from ops import OpsError, backup
from ops.compose import Compose
from ops.restore import restore

ROOT = Path(__file__).parents[2]
UNTOUCHED = "Nothing of the installation has changed"
SUN = {"blog/sunrise/480.jpg": b"the sun" * 1000}
MOON = {"blog/moon/480.jpg": b"the moon"}


class Untouched(Compose):
    """An installation that nobody may ask for anything."""

    def __call__(self, *arguments: str, **options: object) -> str:
        raise AssertionError(arguments)


def archived(file: Path, **members: bytes) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file


@pytest.fixture
def file(site, tmp_path):
    """The backup of an installation that has Alice and the picture of a sunrise."""
    return backup.write(Compose(), tmp_path / "backups")


@pytest.fixture
def real(site, tmp_path):
    """A fresh installation without an .env, and the backup of one in real use."""
    site.database.sql("INSERT INTO installation_realuse (id) VALUES (1)")
    made = backup.write(Compose(), tmp_path / "backups")
    site.database.become("fresh")
    return made


@pytest.fixture
def empty(site, file):
    """A fresh installation, and the backup of another."""
    site.database.become("fresh")
    subprocess.run(["rm", "-r", str(site.media / "blog")], check=True)
    return site


@pytest.fixture
def other(site, file):
    """An installation with Bob and a picture of the moon, and the backup of Alice's."""
    site.database.sql("UPDATE accounts_user SET email = 'bob@example.org'")
    subprocess.run(["rm", "-r", str(site.media / "blog")], check=True)
    site.add_picture("moon", b"the moon")
    return site


def refusal(file: Path, force: bool = False) -> str:
    with pytest.raises(OpsError) as refused:
        restore(Compose(), file, force)
    return str(refused.value)


# --- What is refused before anything is asked -----------------------------------------------------------------------


def test_it_asks_which_backup():
    said = subprocess.run(["make", "restore"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode
    assert said.stderr.startswith("Which backup? make restore FILE=backups/")


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    file = tmp_path / "letters.tar"
    file.write_text("Dear Bob")
    with pytest.raises(OpsError, match=r"letters\.tar cannot be read"):
        restore(Untouched(), file)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OpsError, match=r"nothing\.tar cannot be read"):
        restore(Untouched(), tmp_path / "nothing.tar")


def test_an_archive_of_something_else_is_refused(tmp_path):
    file = archived(tmp_path / "pictures.tar", holiday_jpg=b"")
    with pytest.raises(
        OpsError, match=r"pictures\.tar is no backup, or not a whole one: there is no about\.json in it"
    ):
        restore(Untouched(), file)


@pytest.mark.parametrize("about", [b"[]", b"{}", b'{"migrations": 7}', b'{"migrations": [7]}', b"{", b"\xff", b"null"])
def test_a_backup_that_does_not_say_of_what_is_refused(tmp_path, about):
    file = archived(tmp_path / "odd.tar", database_dump=b"", about_json=about)
    with pytest.raises(OpsError, match=r"odd\.tar (is no backup: its about\.json|cannot be read)"):
        restore(Untouched(), file)


def test_a_member_that_leads_elsewhere_is_none(tmp_path):
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        for name in ("about.json", "database.dump"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, name
            archive.addfile(entry)
    with pytest.raises(OpsError, match=r"there is no about\.json in it"):
        restore(Untouched(), tmp_path / "links.tar")


def test_a_file_that_is_cut_anywhere_is_refused(file):
    with tarfile.open(file) as archive:
        starts = [entry.offset_data for entry in archive]
    whole = file.read_bytes()
    for length in (0, 100, 512, *(start - 1 for start in starts), *(start + 1 for start in starts)):
        file.write_bytes(whole[:length])
        with pytest.raises(OpsError, match=r"cannot be read|not a whole one"):
            restore(Untouched(), file)


# --- What is refused before anything is changed ---------------------------------------------------------------------


def test_what_has_people_is_not_replaced(other, file):
    assert "FORCE=1 replaces" in refusal(file)
    assert other.people() == ["bob@example.org"]
    assert other.docker.order("stop", "up") == ["up"]


def test_a_database_elsewhere_is_not_taken_for_restored(empty, file):
    elsewhere = json.dumps(
        {"services": {"secrets": {"environment": {"DATABASE_URL": "postgresql://db.example.org/x"}}}}
    )
    empty.docker.does("config --format json", f"echo '{elsewhere}'")
    assert "DATABASE_URL names a PostgreSQL elsewhere" in refusal(file)
    assert empty.docker.order("stop", "up") == []


def test_a_newer_backup_is_refused(site, tmp_path):
    site.database.sql("INSERT INTO django_migrations VALUES (9999, 'blog', '9999_later', now())")
    file = backup.write(Compose(), tmp_path)
    assert "The backup is of a newer version, which has blog.9999_later" in refusal(file, force=True)
    assert site.docker.order("stop") == []


# --- What it does ---------------------------------------------------------------------------------------------------


def test_an_empty_installation_becomes_what_was_kept(empty, file):
    assert restore(Compose(), file) == (0, 0)
    assert empty.people() == ["alice@example.org"]
    assert empty.pictures() == SUN
    assert empty.database.names() == {"vestnik"}
    began, stopped, queue, cache, ended = empty.docker.order("up", "stop", "exec -T redis", "exec -T cache")
    assert (began, stopped, queue, cache, ended) == ("up", "stop", "exec -T redis", "exec -T cache", "up")
    assert empty.docker.told[-1] == "up --detach --wait"


def test_nothing_stops_before_everything_is_read(empty, file):
    restore(Compose(), file)
    read = ["exec -T postgres pg_restore", "run --rm -T --no-deps web sh -c rm -rf /srv/media/.restored", "stop"]
    assert empty.docker.order(*read) == read


def test_a_backup_of_an_older_version_is_brought_to_this_one(site, tmp_path):
    site.database.django("vestnik", "migrate", "--no-input", "front", "zero")
    assert site.database.sql("SELECT to_regclass('front_stalepage')") == [(None,)]
    file = backup.write(Compose(), tmp_path)
    site.database.become("fresh")
    site.migrates()
    restore(Compose(), file)
    assert site.people() == ["alice@example.org"]
    assert site.database.sql("SELECT count(*) FROM front_stalepage") == [(0,)]


def test_what_was_replaced_is_kept_beside(other, file):
    restore(Compose(), file, force=True)
    assert other.people() == ["alice@example.org"]
    assert other.database.sql("SELECT email FROM accounts_user", "vestnik_before") == [("bob@example.org",)]
    assert other.pictures() == SUN | MOON


def test_by_force_what_is_broken_is_not_asked(other, file):
    other.docker.does("SELECT EXISTS", "echo invalid page in block 7 >&2; exit 1")
    assert "invalid page" in refusal(file)
    restore(Compose(), file, force=True)
    assert other.people() == ["alice@example.org"]


def test_it_can_be_done_twice(other, file):
    restore(Compose(), file, force=True)
    restore(Compose(), file, force=True)
    assert other.people() == ["alice@example.org"]
    assert other.database.sql("SELECT email FROM accounts_user", "vestnik_before") == [("alice@example.org",)]
    assert other.database.names() == {"vestnik", "vestnik_before"}


def test_who_is_connected_does_not_hold_it_up(empty, file):
    with empty.database.connected("vestnik"):
        restore(Compose(), file)
    assert empty.people() == ["alice@example.org"]


def test_nothing_that_sends_is_started_where_something_would_go_out_again(empty, file):
    empty.docker.does("next_at <= now()", "echo '2|1'")
    assert restore(Compose(), file) == (2, 1)
    assert empty.docker.told[-1] == "up --detach --wait nginx"


# --- What goes wrong ------------------------------------------------------------------------------------------------


def still_bobs(other) -> bool:
    """Nothing has changed, and nothing is left behind."""
    assert other.docker.order("stop") == []
    assert other.database.names() == {"vestnik"}
    assert other.pictures() == MOON
    return bool(other.people() == ["bob@example.org"])


def test_a_damaged_dump_changes_nothing(other, file):
    with tarfile.open(file) as archive:
        dump = archive.getmember("database.dump")
    content = bytearray(file.read_bytes())
    middle = dump.offset_data + dump.size // 2
    content[middle : middle + 100] = bytes(100)
    file.write_bytes(content)
    said = refusal(file, force=True)
    assert said.startswith("pg_restore failed (exit code ")  # 1, or -11: by what it met, it has crashed, too
    assert said.endswith(UNTOUCHED + ".")
    assert still_bobs(other)


@pytest.mark.parametrize(
    ("words", "shell", "said"),
    [
        ("pg_restore", "head -c 10 >/dev/null; echo No space left >&2; exit 1", "pg_restore failed (exit code 1)"),
        ("web sh -c rm -rf", "head -c 10 >/dev/null; exit 2", "Writing the pictures failed (exit code 2)"),
        ("migrate --no-input", "echo no such column >&2; exit 1", "no such column"),
        ("pg_restore", "kill -INT $PPID; cat >/dev/null", "Interrupted."),
        ("web sh -c rm -rf", "kill -INT $PPID; cat >/dev/null", "Interrupted."),
        ("migrate --no-input", "kill -INT $PPID", "Interrupted."),
    ],
)
def test_what_fails_or_is_interrupted_while_it_reads_changes_nothing(other, file, words, shell, said):
    other.docker.does(words, shell)
    refused = refusal(file, force=True)
    assert said in refused
    assert refused.endswith(UNTOUCHED + ".")
    assert still_bobs(other)


@pytest.mark.parametrize("shell", ["exit 1", "kill -INT $PPID"])
def test_before_both_take_their_places_what_was_there_only_wants_to_be_started(other, file, shell):
    other.docker.does("FLUSHALL", shell)
    assert "The data is what it was, but services are stopped: `make up`" in refusal(file, force=True)
    assert other.people() == ["bob@example.org"]
    assert other.database.names() == {"vestnik"}
    assert MOON.items() <= other.pictures().items()


@pytest.mark.parametrize("threads", [0, 1])
def test_nobody_interrupts_it_where_both_take_their_places(other, file, threads):
    """A signal to a process comes to any thread of it."""
    other.docker.does("RENAME TO", other.psql("kill -INT $PPID"))
    over = Event()
    for _ in range(threads):
        Thread(target=over.wait, daemon=True).start()
    refused = refusal(file, force=True)
    over.set()
    assert "Interrupted.\nThe database and the pictures are the backup's" in refused
    assert other.people() == ["alice@example.org"]
    assert other.pictures() == SUN | MOON
    assert other.docker.order("stop", "up") == ["up", "stop"]


def test_what_does_not_start_is_restored_and_says_what_would_go_out_again(empty, file):
    empty.docker.does("up --detach --wait nginx", "echo port is already allocated >&2; exit 1")
    empty.docker.does("next_at <= now()", "echo '2|1'")
    refused = refusal(file)
    assert "port is already allocated" in refused
    assert "The database and the pictures are the backup's" in refused
    assert "2 run(s) are under way, and 1 mailing(s) due since" in refused
    assert empty.people() == ["alice@example.org"]


def test_another_try_goes_through_after_a_failure(empty, file):
    empty.docker.does("FLUSHALL", "exit 1")
    refusal(file)
    empty.docker.does("FLUSHALL", "true")
    restore(Compose(), file)
    assert (empty.people(), empty.pictures()) == (["alice@example.org"], SUN)


def test_the_operators_programs_want_nothing_but_python():
    """A server has no .venv: whatever ops imports is Python's own, or ops'."""
    script = (
        "import sys; sys.path.insert(0, '.')\n"
        "import ops.up, ops.backup, ops.restore, ops.smoke.__main__, ops.smoke.plugs"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", script], cwd=ROOT, check=True)  # without installed packages


def test_what_was_in_real_use_does_not_become_a_trial_unnoticed(site, real):
    with pytest.raises(OpsError, match=rf"in real use.* TRIAL=1 .*\n{UNTOUCHED}"):
        restore(Compose(), real)
    assert site.people() == []
    assert site.database.names() == {"vestnik"}


def test_a_trial_of_it_is_made_where_that_is_said_and_it_forgets_what_it_was(site, real):
    site.migrates()
    restore(Compose(), real, as_a_trial=True)
    assert site.people() == ["alice@example.org"]
    assert site.database.sql("SELECT count(*) FROM installation_realuse") == [(0,)]


def test_an_installation_in_real_use_is_restored_as_one(site, real, docker):
    docker.does("config --format json", """echo '{"services": {"secrets": {"environment": {"MODE": "production"}}}}'""")
    restore(Compose(), real)
    assert site.people() == ["alice@example.org"]


def test_a_backup_of_a_version_that_noted_nothing_is_restored(site, tmp_path):
    site.database.sql("DROP TABLE installation_realuse")
    made = backup.write(Compose(), tmp_path / "backups")
    site.database.become("fresh")
    restore(Compose(), made)
    assert site.people() == ["alice@example.org"]


def test_the_secrets_are_there_before_the_web_reads_them(empty, file, docker):
    docker.forget()
    restore(Compose(), file)
    wanted = ("build", "run --rm -T secrets", "up --detach --wait postgres", "run --rm -T --no-deps web")
    assert docker.order(*wanted)[:4] == list(wanted)

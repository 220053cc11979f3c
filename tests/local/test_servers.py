import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dj_database_url
import psutil
import psycopg
import pytest
import redis

from local import LocalError
from local.servers import PostgresServer, ValkeyServer
from tests.local.helpers import open_folder
from tests.timing import wait_until

STARTS_BOTH_AND_WAITS = """
import signal, sys
from pathlib import Path
from local.servers import PostgresServer, ValkeyServer
PostgresServer(Path(sys.argv[1], "postgres")).start()
ValkeyServer(Path(sys.argv[1], "valkey")).start()
print("here", flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def postgres(folder: Path) -> Iterator[PostgresServer]:
    with PostgresServer(folder / "postgres") as server:
        yield server


@pytest.fixture
def valkey(folder: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(folder / "valkey") as server:
        yield server


def test_postgres_listens_on_a_private_socket_only(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url()) as connection:
        row = connection.execute("SELECT current_setting('listen_addresses'), lower('ЁЛКА')").fetchone()
    assert row == ("", "ёлка")
    assert stat.S_IMODE(postgres.socket_directory.stat().st_mode) == 0o700


def test_valkey_listens_on_a_private_socket_only_and_never_evicts(valkey: ValkeyServer) -> None:
    client = redis.Redis.from_url(valkey.broker_url, decode_responses=True)
    settings = client.config_get("port", "maxmemory-policy", "appendonly")
    client.close()
    assert settings == {"port": "0", "maxmemory-policy": "noeviction", "appendonly": "yes"}
    assert stat.S_IMODE(valkey.socket_directory.stat().st_mode) == 0o700


def test_a_database_is_created_once(postgres: PostgresServer) -> None:
    assert postgres.create_database("Имя с пробелом")
    assert not postgres.create_database("Имя с пробелом")


def test_django_understands_the_url_whatever_pgport_says(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    parsed = dj_database_url.parse(postgres.url())
    psycopg.connect(dbname=parsed["NAME"], user=parsed["USER"], **parsed["OPTIONS"]).close()  # type: ignore[arg-type]


def test_the_queue_and_the_cache_are_apart(valkey: ValkeyServer) -> None:
    queue, cache = redis.Redis.from_url(valkey.broker_url), redis.Redis.from_url(valkey.cache_url)
    queue.set("here", 1)
    assert cache.get("here") is None
    queue.close()
    cache.close()


def test_after_a_kill_of_the_parent_both_start_again_with_their_data(folder: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS_BOTH_AND_WAITS, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    parent.stdout.readline()
    postgres, valkey = PostgresServer(folder / "postgres"), ValkeyServer(folder / "valkey")
    postgres.create_database("kept")
    client = redis.Redis.from_url(valkey.broker_url)
    client.set("kept", "yes")
    parent.kill()
    parent.communicate()
    with postgres, valkey:
        assert not postgres.create_database("kept")
        assert client.get("kept") == b"yes"
    client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_servers_die_with_their_parent(folder: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS_BOTH_AND_WAITS, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    parent.stdout.readline()
    children = psutil.Process(parent.pid).children()
    assert len(children) == 2
    parent.kill()
    parent.communicate()
    wait_until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))


def test_stale_files_stop_no_start(folder: Path) -> None:
    postgres, valkey = PostgresServer(folder / "postgres"), ValkeyServer(folder / "valkey")
    (folder / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    (folder / "valkey" / "valkey.pid").write_text("not a pid")
    valkey.socket_directory.mkdir(exist_ok=True)
    (valkey.socket_directory / valkey.socket_name).touch()
    with postgres, valkey:
        assert postgres.answers()
        assert valkey.answers()


def test_a_server_that_still_runs_is_ended_before_the_next(folder: Path) -> None:
    first = PostgresServer(folder / "postgres")
    first.start()
    with PostgresServer(folder / "postgres") as second:
        assert second.answers()
        assert first._process
        assert first._process.poll() is not None


def test_a_socket_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path / "valkey")
    server.socket_directory.symlink_to(tmp_path)
    try:
        with pytest.raises(LocalError, match="belongs to somebody else"):
            server.prepare()
    finally:
        server.socket_directory.unlink()


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match=r"Valkey cannot use .*file"):
        ValkeyServer(tmp_path / "file" / "valkey").prepare()


def test_an_interrupted_creation_is_begun_again() -> None:
    with open_folder() as folder:
        unfinished = folder / "postgres.new"
        unfinished.mkdir()
        (unfinished / "PG_VERSION").write_text("18")
        with PostgresServer(folder / "postgres", durable=False) as server:
            assert server.answers()
        assert not unfinished.exists()

"""Metrics of real processes: whichever of them has the port tells for all."""

import os
import socket
import subprocess
import sys
import time

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.local import helpers
from tests.nginx.site import Gunicorn
from tests.system.processes import ROOT, of_tests
from tests.timing import in_time, wait_until
from vestnik.mailings.ledger.models import Run
from vestnik.testing.factories import make_mailing


def scrape(port: int) -> dict[str, float]:
    """The samples, each summed over its labels but `outcome` and `status`; {} while nobody answers."""
    try:
        answer, text = helpers.ask(port, "/metrics")
    except OSError:
        return {}
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            kept = [sample.labels[label] for label in ("outcome", "status") if label in sample.labels]
            name = "/".join([sample.name.removeprefix("vestnik_"), *kept])
            found[name] = found.get(name, 0.0) + sample.value
    return found


def listened_on(process: psutil.Process) -> set[int]:
    return {each.laddr.port for each in process.net_connections() if each.status == psutil.CONN_LISTEN}


@pytest.mark.django_db(transaction=True)
def test_the_web_tells_of_all_its_workers_whichever_of_them_lives(valkey, tmp_path):
    port, metrics_port = helpers.free_port(), helpers.free_port()
    environment = of_tests(9, ALLOWED_HOSTS="127.0.0.1", METRICS_PORT=str(metrics_port), TMPDIR=str(tmp_path))
    with Gunicorn(environment, port, tmp_path / "web.log") as gunicorn:
        wait_until(lambda: scrape(metrics_port))
        before = scrape(metrics_port).get("http_requests_total/200", 0)
        for _ in range(30):
            assert helpers.ask(port, "/en/accounts/login/")[0].status == 200
        figures = scrape(metrics_port)
        assert figures["http_requests_total/200"] == before + 30
        assert figures["up"] == 3
        assert helpers.ask(metrics_port, "/")[0].status == 404

        workers = psutil.Process(gunicorn.pid).children()
        (holder,) = (worker for worker in workers if metrics_port in listened_on(worker))
        assert len(list(tmp_path.glob(f"vestnik-metrics-{metrics_port}/counter_*.db"))) >= 2
        holder.kill()
        began = time.monotonic()
        wait_until(lambda: scrape(metrics_port))
        in_time(time.monotonic() - began, 5)
        assert scrape(metrics_port)["http_requests_total/200"] == before + 30


def test_the_dispatcher_tells_of_the_letters_of_all_its_processes(alice, run_dispatcher, tmp_path):
    port = helpers.free_port()
    run_dispatcher(METRICS_PORT=str(port), TMPDIR=str(tmp_path))
    mailing = make_mailing(alice, 300)
    wait_until(lambda: mailing.runs.filter(state=Run.State.FINISHED).exists(), 30)

    figures = scrape(port)
    assert figures["attempt_seconds_count/accepted"] == 300
    assert figures["attempt_seconds_count/temporary"] == 0
    assert 0 < figures["attempt_seconds_sum/accepted"] < 300
    assert figures["letters/sent"] == 300
    assert figures["letters_left"] == 0
    assert figures["processes"] == 3


@pytest.mark.django_db(transaction=True)
def test_without_a_port_nothing_is_listened_on_or_written(tmp_path):
    setup = "import django; django.setup(); import threading; from vestnik.metrics import port; port.serve();"
    done = subprocess.run(
        [sys.executable, "-c", f"{setup} print(threading.active_count())"],
        cwd=ROOT,
        env=of_tests(9, DJANGO_SETTINGS_MODULE="web.settings", TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "1\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.django_db(transaction=True)
def test_a_folder_that_others_can_write_to_is_not_trusted(tmp_path):
    folder = tmp_path / "vestnik-metrics-9100"
    folder.mkdir()
    folder.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-m", "dispatcher", "control"],
        cwd=ROOT,
        env=of_tests(9, METRICS_PORT="9100", TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert f"Vestnik is misconfigured. METRICS_PORT: others can write to {folder}" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.django_db(transaction=True)
def test_a_port_that_somebody_else_has_is_said_once_and_taken_when_it_is_free(valkey, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        metrics_port = stranger.getsockname()[1]
        log = tmp_path / "web.log"
        environment = of_tests(9, METRICS_PORT=str(metrics_port), TMPDIR=str(tmp_path))
        with Gunicorn(environment, helpers.free_port(), log):
            complaint = f"METRICS_PORT: nothing is told, for 127.0.0.1:{metrics_port} cannot be listened at"
            wait_until(lambda: complaint in log.read_text())
            stranger.close()
            wait_until(lambda: scrape(metrics_port))
    assert log.read_text().count(complaint) == 1


@pytest.mark.django_db(transaction=True)
def test_counts_that_cannot_be_read_are_a_fault_that_the_log_tells(valkey, tmp_path):
    metrics_port = helpers.free_port()
    log = tmp_path / "web.log"
    environment = of_tests(9, METRICS_PORT=str(metrics_port), TMPDIR=str(tmp_path))
    with Gunicorn(environment, helpers.free_port(), log):
        wait_until(lambda: scrape(metrics_port))
        (tmp_path / f"vestnik-metrics-{metrics_port}" / "counter_1.db").touch()
        with pytest.raises(OSError, match="closed connection"):
            helpers.ask(metrics_port, "/metrics")
        wait_until(lambda: "metrics could not be told" in log.read_text())


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_a_port_that_there_is_not_stops_the_start(port):
    done = subprocess.run(
        [sys.executable, "services/web/manage.py", "check"],
        cwd=ROOT,
        env=os.environ | {"METRICS_PORT": port},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "METRICS_PORT" in done.stderr

"""What the dispatcher's real processes write, line by line."""

from tests.test_logs import written_to
from tests.timing import wait_until
from vestnik.mailings.ledger.models import Run
from vestnik.testing.factories import make_mailing


def test_everything_the_dispatcher_writes_is_json_if_that_is_wanted(alice, run_dispatcher, tmp_path):
    run_dispatcher("control", "bulk", "scheduler", LOG_FORMAT="json")
    mailing = make_mailing(alice, 3)
    wait_until(lambda: mailing.runs.filter(state=Run.State.FINISHED).exists(), 30)
    wait_until(lambda: "Scheduling" in (tmp_path / "scheduler.log").read_text(), 30)
    run = mailing.runs.get()

    launched = [line for line in written_to(tmp_path / "control.log") if line["logger"] == "dispatcher.runs.launching"]
    assert [(line["job"], line["mailing_id"], line["run_id"]) for line in launched] == [("launch", mailing.pk, run.pk)]
    assert "Worker process is ready for action." in {line["message"] for line in written_to(tmp_path / "bulk.log")}
    assert "periodiq" in {line["logger"] for line in written_to(tmp_path / "scheduler.log")}


def test_what_a_lane_says_names_its_owner(alice, run_dispatcher, tmp_path, post):
    post.refuse()
    run_dispatcher(LOG_FORMAT="json")
    make_mailing(alice, 3)

    wait_until(lambda: "nothing is handed over" in (tmp_path / "bulk.log").read_text(), 30)
    said = [line for line in written_to(tmp_path / "bulk.log") if "nothing is handed over" in line["message"]]
    assert {(line["job"], line["owner_id"]) for line in said} == {("send", alice.pk)}


def test_on_a_terminal_it_stays_readable(run_dispatcher, tmp_path):
    dispatcher = run_dispatcher("control")
    dispatcher.stop("control")

    assert (
        "INFO dramatiq.WorkerProcess(0): Worker process is ready for action." in (tmp_path / "control.log").read_text()
    )

"""The script, as a person or a cron runs it: a process of its own, with workers beside it or without."""

import os
import pty
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from dispatcher.runs import launching
from tests.scripted_servers import Say, SmtpServer
from tests.system.processes import ROOT, of_tests
from tests.timing import wait_until
from vestnik.mailings import verbs
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.models import Mailing
from vestnik.testing.factories import make_mailing

COMMAND = [sys.executable, "services/dispatcher/manage.py", "send_mailings"]


@pytest.fixture
def script(post):
    def run(*arguments, **variables):
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=ROOT, env=of_tests(post.port, **variables), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def recipients(post):
    return sorted(letter.recipient for letter in post.letters)


def addresses(run):
    return sorted(run.deliveries.values_list("address", flat=True))


def test_it_sends_what_is_due_without_any_worker(alice, post, script):
    mailing = make_mailing(alice, 50)
    answer = script()
    assert answer.returncode == 0, answer.stderr
    assert recipients(post) == addresses(mailing.runs.get())
    assert "50 sent." in answer.stdout
    assert mailing.runs.get().state == "finished"


def test_it_has_nothing_to_do_when_nothing_is_due(alice, script):
    make_mailing(alice, 5, start=timezone.now() + timedelta(hours=1))
    answer = script()
    assert (answer.returncode, answer.stdout) == (0, "Nothing is due.\n")


def test_a_dry_run_says_who_would_get_what_and_sends_nothing(alice, post, script):
    mailing = make_mailing(alice, 3, name="Spring")
    answer = script("--dry-run")
    assert answer.returncode == 0
    for client in mailing.lists.get().clients.all():
        assert f"{client.email}: News" in answer.stdout
    assert "3 letters would be sent." in answer.stdout
    assert not post.letters
    assert not Run.objects.exists()


def test_only_the_chosen_mailings_are_sent(alice, post, script):
    first, second, other = (make_mailing(alice, 4) for _ in range(3))
    answer = script("--mailing", str(first.pk), "--mailing", str(second.pk))
    assert answer.returncode == 0
    assert len(post.letters) == 8
    assert not other.runs.exists()


def test_now_makes_a_run_outside_the_calendar(alice, post, script):
    mailing = make_mailing(alice, 4, start=timezone.now() + timedelta(hours=1))
    assert script("--mailing", str(mailing.pk), "--now").returncode == 0
    assert len(post.letters) == 4
    assert mailing.runs.get().occurrence is None


def test_a_refused_letter_makes_the_exit_code_one(alice, post, script):
    mailing = make_mailing(alice, 3)
    refused = mailing.lists.get().clients.first().email
    post.always("rcpt", Say(550, "5.1.1 no such user"), recipient=refused)
    answer = script()
    assert answer.returncode == 1
    assert "2 sent, 1 failed." in answer.stdout
    assert "Traceback" not in answer.stderr


def test_a_letter_that_waits_for_a_retry_makes_the_exit_code_one(alice, post, script):
    mailing = make_mailing(alice, 1)
    post.always("rcpt", Say(450, "4.2.1 later"), recipient=mailing.lists.get().clients.get().email)
    answer = script()
    assert answer.returncode == 1
    assert "1 waiting" in answer.stdout


@pytest.mark.parametrize(
    "arguments", [["--mailing", "999"], ["--mailing", "x"], ["--now"], ["--dry-run", "--enqueue"], ["--nonsense"]]
)
def test_bad_usage_is_said_in_a_sentence_with_exit_code_two(db, script, arguments):
    answer = script(*arguments)
    assert answer.returncode == 2
    assert answer.stderr.strip()
    assert "Traceback" not in answer.stderr


def test_a_paused_mailing_is_nothing_to_do(alice, post, script):
    mailing = make_mailing(alice, 2)
    launching.launch(mailing.pk)
    verbs.pause(mailing)
    answer = script()
    assert (answer.returncode, answer.stdout) == (0, "Nothing is due.\n")
    assert not post.letters


def test_a_refusal_to_send_now_is_said_in_a_sentence(alice, script):
    mailing = make_mailing(alice, 1)
    verbs.pause(mailing)
    answer = script("--mailing", str(mailing.pk), "--now")
    assert answer.returncode == 1
    assert "paused" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_beside_workers_nobody_gets_two(alice, post, run_dispatcher, script):
    run_dispatcher()
    mailing = make_mailing(alice, 500)
    answer = script()
    assert answer.returncode == 0, answer.stderr
    wait_until(lambda: mailing.runs.filter(state="finished").exists())
    assert recipients(post) == addresses(mailing.runs.get())


def test_now_follows_its_run_even_if_workers_send_it(alice, post, run_dispatcher, script):
    run_dispatcher()
    mailing = make_mailing(alice, 3, start=timezone.now() + timedelta(hours=1))
    post.always("rcpt", Say(550, "5.1.1 no such user"), recipient=mailing.lists.get().clients.first().email)
    answer = script("--mailing", str(mailing.pk), "--now")
    assert answer.returncode == 1
    assert "2 sent, 1 failed." in answer.stdout


def test_a_refusal_of_one_mailing_does_not_keep_the_other_from_being_sent(alice, post, script):
    paused, other = (make_mailing(alice, 2, start=timezone.now() + timedelta(hours=1)) for _ in range(2))
    verbs.pause(paused)
    answer = script("--now", "--mailing", str(paused.pk), "--mailing", str(other.pk))
    assert answer.returncode == 1
    assert "paused" in answer.stderr
    assert len(post.letters) == 2


def test_an_empty_audience_is_said(alice, script):
    make_mailing(alice, 0)
    answer = script()
    assert answer.returncode == 0
    assert "the audience is empty" in answer.stdout


def test_enqueue_leaves_it_to_the_workers(alice, post, script, run_dispatcher, monkeypatch):
    monkeypatch.setattr("vestnik.jobs.Job.enqueue", lambda *args, **kwargs: False)
    mailing = make_mailing(alice, 5)
    monkeypatch.undo()
    answer = script("--enqueue")
    assert (answer.returncode, answer.stdout) == (0, "1 mailing left to the workers.\n")
    assert not post.letters
    run_dispatcher()
    wait_until(lambda: mailing.runs.filter(state="finished").exists())


def test_on_a_terminal_it_shows_a_bar(alice, post):
    make_mailing(alice, 300)
    post.letters_per_second = 200
    master, terminal = pty.openpty()
    environment = {**of_tests(post.port), "COLUMNS": "120", "TERM": "xterm"}
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                read = os.read(master, 4096)
            except OSError:  # the other end is closed
                break
            if not read:
                break
            shown += read
    os.close(master)
    assert process.returncode == 0
    text = shown.decode()
    for words in ("sent", "failed", "/s", "100%", "300 sent."):
        assert words in text


def test_an_interrupted_script_settles_what_is_in_hand_and_leaves_the_rest_queued(alice, post):
    mailing = make_mailing(alice, 500)
    post.letters_per_second = 100
    with subprocess.Popen(
        COMMAND, cwd=ROOT, env=of_tests(post.port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        post.wait_for(50)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in output
    totals = runs.totals(mailing.runs.get().pk)
    assert totals["sent"] == len(post.letters)
    assert set(mailing.runs.get().deliveries.values_list("state", flat=True)) == {"sent", "queued"}


def test_a_service_that_is_away_for_long_ends_the_script_with_a_sentence(alice, script, monkeypatch):
    mailing = make_mailing(alice, 3)
    with SmtpServer() as gone:
        port = gone.port
    answer = script(MAIL_SERVICE_URL=f"smtp://127.0.0.1:{port}", PROBE_BACKOFF="0.1,0.1")
    assert answer.returncode == 1
    assert "Nothing could be handed over" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert set(mailing.runs.get().deliveries.values_list("state", flat=True)) == {"queued"}
    assert Mailing.objects.count() == 1

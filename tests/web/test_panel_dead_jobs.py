"""The panel's page of the jobs that died: managers look, superusers try again or discard."""

from typing import Any

import pytest
import redis
from django.test import Client as Browser
from django.urls import reverse

from tests.dead_jobs import dead_job, waiting
from vestnik import dead_jobs
from vestnik.accounts.audit import AuditEntry
from vestnik.accounts.models import User
from vestnik.dead_jobs import DeadJob

pytestmark = pytest.mark.usefixtures("valkey")

LIST = "/panel/dead-jobs/"


def browser_of(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def browser(maria: User) -> Browser:
    return browser_of(maria)


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.org", "a long password")


@pytest.fixture
def dead() -> DeadJob:
    return dead_job("launch", 7, error="ValueError: <b>no</b>", traceback="Traceback …\nValueError: <b>no</b>")


def at(name: str, message: DeadJob) -> str:
    return reverse(f"panel:{name}", args=[message.id])


def test_managers_see_what_died_and_of_what(browser: Browser, dead: DeadJob) -> None:
    page = browser.get(LIST).content.decode()

    for words in ("launch(7)", "ValueError: &lt;b&gt;no&lt;/b&gt;", "control", at("dead-job", dead)):
        assert words in page
    assert f'href="{LIST}"' in browser.get(reverse("panel:mailings")).content.decode()


def test_managers_see_the_traceback_and_no_actions(browser: Browser, dead: DeadJob) -> None:
    page = browser.get(at("dead-job", dead)).content.decode()

    assert "Traceback …\nValueError: &lt;b&gt;no&lt;/b&gt;" in page
    assert at("requeue", dead) not in page
    assert at("discard", dead) not in page


def test_where_nothing_died_the_page_says_so(browser: Browser) -> None:
    assert "No job has died" in browser.get(LIST).content.decode()


def test_many_are_shown_in_pages(browser: Browser) -> None:
    for number in range(51):
        dead_job("launch", number)
    first, second = (browser.get(LIST, {"page": page}).context["page_obj"] for page in (1, 2))

    assert (len(first.object_list), len(second.object_list)) == (50, 1)
    assert len({message.id for page in (first, second) for message in page}) == 51


def test_a_superuser_tries_a_job_again_and_it_is_in_the_audit_log(root: User, browser: Browser, dead: DeadJob) -> None:
    assert at("requeue", dead) in browser_of(root).get(at("dead-job", dead)).content.decode()
    answer = browser_of(root).post(at("requeue", dead), follow=True)

    assert answer.redirect_chain == [(LIST, 302)]
    assert "The job is in the queue again." in answer.content.decode()
    assert [(job, args) for job, args, _options in waiting()] == [("launch", [7])]
    assert dead_jobs.count() == 0
    assert AuditEntry.objects.get().from_address == "127.0.0.1"
    log = browser.get(reverse("panel:audit")).content.decode()
    for words in ("root@example.org", "Tried again", "launch(7)", "ValueError: &lt;b&gt;no&lt;/b&gt;"):
        assert words.lower() in log.lower()


def test_a_superuser_discards_a_job(root: User, dead: DeadJob) -> None:
    answer = browser_of(root).post(at("discard", dead), follow=True)

    assert "The job is discarded." in answer.content.decode()
    assert (waiting(), dead_jobs.count()) == ([], 0)
    assert AuditEntry.objects.get().action == "discarded"


def test_managers_pull_no_actions(browser: Browser, dead: DeadJob) -> None:
    for name in ("requeue", "discard"):
        assert browser.post(at(name, dead)).status_code == 403

    assert dead_jobs.listed() == [dead]
    assert not AuditEntry.objects.exists()


def test_for_everybody_else_there_is_no_such_page(alice: User, dead: DeadJob) -> None:
    # Who may have been signed out is asked to sign in, or told that the form is stale.
    for browser, seen, pressed in ((browser_of(alice), 404, 404), (Browser(), 302, 403)):
        assert browser.get(LIST).status_code == browser.get(at("dead-job", dead)).status_code == seen
        assert browser.post(at("requeue", dead)).status_code == browser.post(at("discard", dead)).status_code == pressed
    assert dead_jobs.listed() == [dead]


def test_a_action_pulled_twice_does_it_once(root: User, dead: DeadJob) -> None:
    browser = browser_of(root)
    browser.post(at("requeue", dead))

    assert browser.post(at("requeue", dead)).status_code == 404
    assert len(waiting()) == AuditEntry.objects.count() == 1


def test_who_lands_on_a_action_by_signing_in_does_nothing(root: User, dead: DeadJob) -> None:
    assert browser_of(root).get(at("discard", dead))["Location"] == LIST
    assert dead_jobs.listed() == [dead]


def test_a_queue_that_is_away_is_said_on_every_page(root: User, dead: DeadJob, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = browser_of(root)
    monkeypatch.setattr(dead_jobs, "impatient_redis", lambda: redis.Redis.from_url("redis://127.0.0.1:1/0"))
    answers: list[Any] = [browser.get(LIST), browser.get(at("dead-job", dead)), browser.post(at("discard", dead))]

    for answer in answers:
        assert answer.status_code == 503
        assert "The queue does not answer" in answer.content.decode()
    assert not AuditEntry.objects.exists()

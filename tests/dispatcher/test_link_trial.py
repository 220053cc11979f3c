"""The product tries its own way of one click: a real request to a real server, and operators are told what is wrong."""

import logging

import pytest
from django.core.cache import cache

from dispatcher import link_trial
from tests.local.helpers import free_port
from tests.nginx.web import Answer, Web
from vestnik.clients.models import Suppression

pytestmark = pytest.mark.usefixtures("valkey")


@pytest.fixture(autouse=True)
def of_web(settings):
    settings.ROOT_URLCONF = "web.urls"


def again():
    """Try it as after a while."""
    cache.delete(link_trial.TRIED)
    link_trial.try_link()


def test_many_launches_at_once_are_one_try(db, settings):
    with Web() as web:
        settings.SITE_URL = f"http://127.0.0.1:{web.port}"
        for _ in range(5):
            link_trial.try_link()
        assert len(web.asked) == 1


def told(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_real_page_answers_it_and_stops_nothing(transactional_db, live_server, settings, caplog):
    settings.SITE_URL = live_server.url
    link_trial.try_link()
    assert told(caplog) == []
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("status", [302, 400, 403, 405, 500])
def test_any_answer_but_200_is_told_once(db, settings, caplog, status):
    with Web() as web:
        web.answer = lambda _asked: Answer("no", status)
        settings.SITE_URL = f"http://127.0.0.1:{web.port}"
        again()
        again()
    assert [(asked.method, asked.body) for asked in web.asked] == [("POST", b"List-Unsubscribe=One-Click")] * 2
    (said,) = told(caplog)
    assert f"is answered with {status}" in said
    assert settings.SITE_URL in said


def test_nobody_there_is_told_and_told_again_after_it_worked(transactional_db, live_server, settings, caplog):
    nowhere = f"http://127.0.0.1:{free_port()}"
    for site in (nowhere, nowhere, live_server.url, nowhere):
        settings.SITE_URL = site
        again()
    assert len(told(caplog)) == 2
    assert "is not answered" in told(caplog)[0]

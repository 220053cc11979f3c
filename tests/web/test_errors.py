"""The pages for when something went wrong: in the look of the others, in both languages, static where they must be."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.http import HttpResponse
from django.template.loader import render_to_string

from web.middleware import BrowserRulesMiddleware

STATIC = ("400.html", "500.html")


@pytest.mark.parametrize("template", STATIC)
def test_a_page_that_is_shown_whatever_is_broken_asks_nothing_and_breaks_no_policy(template: str) -> None:
    page = render_to_string(template)  # without a request, and no database is there for this test
    assert "<style" not in page
    assert "<script" not in page
    assert " style=" not in page
    files = re.findall(r'(?:href|src)="/static/([^"]+)"', page)
    assert "web/notice.css" in files
    assert all(finders.find(file) for file in files)
    assert page.count("<h1>") == 1


@pytest.mark.parametrize("template", STATIC)
def test_it_speaks_both_languages_and_leads_home(template: str) -> None:
    page = render_to_string(template)
    english, russian = page.split('<section lang="ru">')
    assert re.search(r"<h1>\w", english)
    assert re.search(r"<h2>[А-Я]", russian)
    assert 'href="/"' in english
    assert 'href="/ru/"' in russian


def test_what_they_load_names_no_file_that_might_be_missing() -> None:
    found = finders.find("web/notice.css")
    assert isinstance(found, str)
    assert "url(" not in Path(found).read_text()
    assert "@import" not in Path(found).read_text()


def test_zero_seconds_tell_browsers_to_forget_https(settings, rf) -> None:
    settings.OVER_HTTPS, settings.HSTS_SECONDS = True, 0
    answer = BrowserRulesMiddleware(lambda _request: HttpResponse())(rf.get("/"))
    assert answer["Strict-Transport-Security"] == "max-age=0"

"""The home page: what Vestnik is, in words and figures, for whoever comes."""

import re

import pytest
from django.utils import translation

from tests.web.posts import make_post
from vestnik.accounts.models import User
from vestnik.front import page_cache
from vestnik.front.models import Figures

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def text(answer):
    return answer.content.decode()


def figures(client, language="en"):
    """Each figure of the page with its words."""
    return re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text(client.get(f"/{language}/")))


def test_visitors_are_told_what_it_is_and_shown_the_way_in(client):
    page = text(client.get("/en/"))

    assert "Every letter accounted for" in page
    assert 'href="/en/accounts/signup/"' in page
    assert "Sign in" in page
    assert 'href="/en/blog/"' in page
    assert "What runs here" not in page


def test_who_is_signed_in_is_shown_to_their_own_rooms(client, alice):
    client.force_login(alice)

    page = text(client.get("/en/"))

    assert page.count("To your overview") >= 2
    assert "Create an account" not in page
    assert "Sign in" not in page
    assert "What runs here" not in page


def test_supervisors_see_what_runs_here(client, maria):
    for person in (maria, User.objects.create_superuser("root@example.org", "a long password")):
        client.force_login(person)
        page = text(client.get("/en/"))
        assert "What runs here" in page
        assert "Database" in page


def test_a_trial_says_so_to_superusers_alone(client, settings, maria):
    root = User.objects.create_superuser("root@example.org", "a long password")
    told = {}
    for settings.MODE in ("trial", "local", "production"):
        for person in (None, maria, root):
            client.logout() if person is None else client.force_login(person)
            told[settings.MODE, person] = "This is a trial" in text(client.get("/en/"))

    assert [who for who, is_told in told.items() if is_told] == [("trial", root)]


def test_figures_are_written_as_people_of_the_language_write_them(client):
    Figures.objects.create(mailings=1234, active_mailings=1, clients=1000000)

    assert figures(client) == [
        ("mailings set up", "1,234"), ("mailing is active now", "1"), ("clients by address", "1,000,000"),
    ]  # fmt: skip
    with translation.override("ru"):
        assert [number for _words, number in figures(client, "ru")] == ["1\xa0234", "1", "1\xa0000\xa0000"]


def test_one_is_one_and_none_is_none(client):
    Figures.objects.create(mailings=1, active_mailings=0, clients=1)

    assert figures(client) == [("mailing set up", "1"), ("mailings are active now", "0"), ("client by address", "1")]


def test_nothing_counted_yet_is_nothing(client):
    assert [number for _words, number in figures(client)] == ["0", "0", "0"]


def test_figures_are_others_as_soon_as_they_were_counted_again(client):
    Figures.objects.create(mailings=1)
    assert figures(client)[0][1] == "1"

    Figures.objects.update(mailings=2)
    assert figures(client)[0][1] == "1"
    page_cache.invalidate(page_cache.FIGURES)
    assert figures(client)[0][1] == "2"


def test_three_posts_are_shown_or_as_many_as_there_are(client):
    def shown():
        page_cache.invalidate()
        return re.findall(r'<h3 class="post-title"><a [^>]*>(.*?)</a>', text(client.get("/en/")))

    assert shown() == []
    assert "From the blog" not in text(client.get("/en/"))
    make_post("One")
    assert shown() == ["One"]
    make_post("Two")
    make_post("Three")
    assert shown() == ["Three", "Two", "One"]
    make_post("Four")
    assert len(set(shown())) == 3

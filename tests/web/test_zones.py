"""One page, one time zone, named on it; one form of dates."""

import re
from html import unescape

import pytest
from django.utils.translation import override

from tests.browser import world as worlds
from tests.browser.world import World

pytestmark = pytest.mark.usefixtures("valkey")

TIME = re.compile(r"\b\d{1,2}:\d\d\b")
DATES = {
    "en": re.compile(r"\b(?P<day>\d{1,2} [A-Z][a-z]{2}\b(?! 2\d{3})|[A-Z][a-z]{2}\.? \d{1,2}, 2\d{3})"),
    "ru": re.compile(r"\b(?P<day>\d{1,2} \w{3,8} 2\d{3}|\d{1,2}\.\d\d\b(?!\.2\d{3}|\.))"),
}
"""How a day is not written."""


@pytest.fixture
def world(transactional_db: None) -> World:
    return worlds.make()


def words(html: str) -> str:
    """What a page says in its middle, without scripts, frames and what can be chosen."""
    main = html[html.index("<main") : html.index("</main>")]
    main = re.sub(r"<(script|iframe|select|pre)\b.*?</\1>", " ", main, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", " ", main))


@pytest.mark.parametrize("language", DATES)
def test_a_page_with_times_names_the_one_zone_they_are_in_and_writes_dates_in_one_way(
    world: World, language: str
) -> None:
    with override(language):
        from django.utils.translation import gettext

        named = gettext("Times in the time zone %(zone)s") % {"zone": ""}
    silent, others, with_times = [], [], 0
    for role in ("owner", "friend", "manager"):
        for path, html in world.pages(world.session(role, language), language):
            if path.startswith(("/en/", "/ru/", "/admin/")):
                continue
            said = words(html)
            with_times += bool(TIME.search(said))
            if TIME.search(said) and said.count(named) != 1:
                silent.append(path)
            others += [(path, found["day"]) for found in DATES[language].finditer(said)]
    assert with_times > 20
    assert not silent
    assert not others

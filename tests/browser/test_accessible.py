"""axe-core finds nothing against WCAG 2.2 AA on any page, for anybody who may see it, in either theme, on a phone and
on a desk. Which pages there are is found by the URL patterns.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Route

from tests.browser import world as worlds
from tests.browser.world import World

AXE = Path(__file__).parents[2] / "services/web/node_modules/axe-core/axe.min.js"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
ALSO = ("label-content-name-mismatch", "target-size")
"""What axe-core leaves out unless it is named."""
FOREIGN = ".prose-menubar, .calendarbox, .clockbox, #changelist-search"
"""The editor's tools, whose icons are a font's letters; Django's calendars, and its search, whose label is an image."""
SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
TURNS = {"en": (("light", "desk"), ("dark", "phone")), "ru": (("light", "phone"), ("dark", "desk"))}
"""A theme and a size for each language, so that each meets each. All rules are asked at the first; at the second those
alone that ask for colours and sizes.
"""
OF_LOOKS = ("color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable")
RULES = ({"type": "tag", "values": TAGS}, {"type": "rule", "values": OF_LOOKS})
WORDS = re.compile(
    r'\b(?:href|value|title|alt|src|aria-label|id|for|action|formaction|content|datetime|(?:data|hx)-\S+)="[^"]*"'
)
"""Attributes in which pages of the same kind differ."""
ALIKE = {
    "owner": ("newcomer",),
    "friend": ("newcomer", "owner"),
    "manager": ("newcomer", "owner"),
    "content": ("newcomer", "owner"),
    "superuser": ("newcomer", "owner", "manager", "content"),
}
"""Whose pages are looked at already: of a role's own, those that differ from them in more than words are left."""
LEAST = {"visitor": 8, "newcomer": 5, "owner": 30, "friend": 5, "manager": 8, "content": 3, "superuser": 1}
"""So many pages a role has, at the least, that nobody else has."""

SEARCH = """
async ([theme, only, also, foreign]) => {
    const still = new CSSStyleSheet()
    still.replaceSync("*, ::before, ::after { transition: none !important; animation: none !important }")
    document.adoptedStyleSheets = [still]
    document.documentElement.dataset.bsTheme = theme
    document.documentElement.dataset.theme = theme
    const rules = Object.fromEntries(also.map(rule => [rule, { enabled: true }]))
    const options = { runOnly: only, rules: only.type === "tag" ? rules : {}, iframes: false, elementRef: true,
                      resultTypes: ["violations"] }
    const found = (await axe.run(document, options)).violations
    const { scrollWidth, clientWidth } = document.documentElement
    const wide = scrollWidth > clientWidth && document.querySelector("main#main")  // not Django's admin site
    const ours = (node) => !node.element?.closest(foreign)
    const told = (id, node) => [id, node.target.join(" "), node.failureSummary]
    return found.flatMap(({ id, nodes }) => nodes.filter(ours).map(node => told(id, node)))
        .concat(wide ? [["too wide", "html", `${scrollWidth} px`]] : [])
}
"""


@pytest.fixture(scope="module", autouse=True)
def unsafe() -> Iterator[None]:
    """The browser's event loop is in this thread, where the tests ask the database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture(scope="module")
def axe() -> str:
    """The checker's script: in services/web/node_modules, never among what pages load."""
    if not AXE.exists():
        if os.environ.get("CI"):
            pytest.fail("axe-core is not installed, and CI must not skip what it is to prove.")
        pytest.skip("axe-core is not installed (`npm ci` in services/web)")
    return AXE.read_text()


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """What the pages of a role are made of, as soon as somebody looked."""
    return {}


@pytest.fixture
def world(transactional_db: None, valkey: None) -> World:
    return worlds.make()


@pytest.mark.parametrize("role", worlds.ROLES)
def test_no_page_stands_in_anybodys_way(
    chromium: Browser, live_server: Any, world: World, axe: str, role: str, settings: Any, known: dict[str, set[str]]
) -> None:
    settings.ACCOUNT_RATE_LIMITS = False
    for other in ALIKE.get(role, ()):
        if other not in known:  # the test of that role did not run before
            parts = (frames(html) for _, html in world.pages(world.session(other, "en"), "en"))
            known[other] = set().union(*parts)
    seen = set[str]().union(*(known[other] for other in ALIKE.get(role, ())))
    pages, known[role] = [], set()
    for address, html in sorted(world.pages(world.session(role, "en"), "en"), key=lambda it: len(it[1]), reverse=True):
        known[role] |= frames(html)
        if not frames(html) <= seen:
            pages.append(address)
            seen |= frames(html)
    assert len(pages) >= LEAST[role], "hardly a page was found"
    found = []
    for language, turns in TURNS.items():
        context = chromium.new_context(base_url=live_server.url, locale=language, reduced_motion="reduce")
        if session := world.session(role, language):
            context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        usual, failing = context.new_page(), context.new_page()
        failing.route("**/broken/", broken)  # on a page of its own: whoever asks for a route gets no cache
        for address in (*pages, "/en/no-such-page/", "/broken/"):
            address = re.sub("^/en/", f"/{language}/", address)
            page = failing if address == "/broken/" else usual
            page.goto(address)
            assert page.locator("html").get_attribute("lang") == language or address == "/broken/"
            page.evaluate(axe)
            for (theme, size), only in zip(turns, RULES, strict=True):
                page.set_viewport_size(SIZES[size])
                faults = page.evaluate(SEARCH, [theme, only, ALSO, FOREIGN])
                found += [(rule, place, f"{address} {theme} {size}", words) for rule, place, words in faults]
        context.close()
    assert not found, report(found)


def broken(route: Route) -> None:
    """What is answered where something went wrong."""
    route.fulfill(body=render_to_string("500.html"), content_type="text/html")


def frames(html: str) -> set[str]:
    """A page's middle and what is around it, without their words: what differs in these alone has the same faults."""
    around, middle, below = re.split(r"(?s)(<main\b.*</main>)", html) if "<main" in html else (html, "", "")
    return {frame(around + below), frame(middle)}


def frame(html: str) -> str:
    """The tags, each once, without what they say or lead to."""
    tags = re.findall(r"<[^>!]+>", html)
    return "".join(dict.fromkeys(WORDS.sub("", tag) for tag in tags))


def report(found: list[tuple[str, str, str, str]]) -> str:
    """The faults, each kind with one of its places."""
    kinds: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for rule, place, where, words in found:
        kinds.setdefault((rule, re.sub(r":nth-child\(\d+\)|\[[^]]*\]", "", place)), []).append((where, words))
    return "\n".join(
        f"{rule} at {place}, {len(those)} times, as {those[0][0]}: {those[0][1]}"
        for (rule, place), those in kinds.items()
    )

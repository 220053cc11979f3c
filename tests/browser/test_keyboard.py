"""The pages by keyboard alone, and what stays in place while a part of a page comes again."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import is_fault
from tests.web.ledger import make_run
from vestnik.accounts.models import User
from vestnik.mailings import verbs
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.models import Mailing
from vestnik.testing import factories


@pytest.fixture(scope="module", autouse=True)
def unsafe() -> Iterator[None]:
    """The browser's event loop is in this thread, where the tests ask the database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture
def desk(
    chromium: Browser,
    transactional_db: None,
    valkey: None,
    live_server: Any,
    alice: User,
    client: Any,
    faults: list[str],
) -> Iterator[Page]:
    """A page of Alice's."""
    client.force_login(alice)
    context = chromium.new_context(base_url=live_server.url, locale="en-GB", viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.on("console", lambda message: faults.append(message.text) if is_fault(message) else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert not faults


def focused(page: Page) -> str:
    """What has the focus, in a word: its text, its label or its name."""
    script = "e => (e.innerText || '').trim() || e.getAttribute('aria-label') || e.name || e.tagName"
    return str(page.evaluate(f"({script})(document.activeElement)"))


def test_the_skip_link_can_be_seen_and_leads_to_before_the_heading(desk: Page) -> None:
    desk.goto("/clients/")
    desk.keyboard.press("Tab")
    skip = desk.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    desk.keyboard.press("Enter")
    desk.keyboard.press("Tab")
    assert focused(desk) == "Export"
    assert desk.locator("main h1").inner_text() == "Clients"


def test_the_menu_comes_before_the_account_and_the_theme(desk: Page) -> None:
    desk.goto("/clients/")
    order = []
    while "Light or dark" not in order and len(order) < 20:
        desk.keyboard.press("Tab")
        order.append(focused(desk))
    menu = ["Overview", "Mailings", "Messages", "Clients", "Lists", "Dead letters"]
    assert order == ["Skip to the content", "Vestnik", *menu, "Alice Archer", "Light or dark"]


@pytest.mark.parametrize("key", ["Space", "Enter"])
def test_the_account_menu_opens_by_space_as_by_enter_and_closes_by_escape(desk: Page, key: str) -> None:
    desk.goto("/clients/")
    menu = desk.get_by_role("button", name="Your account")
    menu.focus()
    desk.keyboard.press(key)
    profile = desk.get_by_role("link", name="Profile and account")
    expect(profile).to_be_visible()
    desk.keyboard.press("Escape")
    expect(profile).to_be_hidden()
    expect(menu).to_be_focused()


FORMS = {
    "/clients/new/": "email",
    "/messages/new/": "subject",
    "/mailings/new/": "name",
    "/lists/new/": "name",
    "/clients/import/": "file",
    "/profile/": "full_name",
    "/en/accounts/password/change/": "oldpassword",
}


def test_a_form_has_the_cursor_in_its_first_field(desk: Page) -> None:
    for address, name in FORMS.items():
        desk.goto(address)
        assert desk.evaluate("document.activeElement.name") == name, address
        assert desk.locator("[autofocus]:not(dialog *)").count() == 1, address
    desk.context.clear_cookies()
    for address in ("/en/accounts/login/", "/en/accounts/signup/", "/en/accounts/password/reset/"):
        desk.goto(address)
        assert desk.evaluate("document.activeElement.name") in ("login", "email"), address


def test_after_a_mistake_the_cursor_is_in_the_field_that_is_wrong_and_the_title_says_so(desk: Page) -> None:
    desk.goto("/mailings/new/")
    factories.make_message(User.objects.get())
    desk.reload()
    desk.get_by_label("Name", exact=True).fill("News")
    desk.get_by_label("Message").select_option(index=1)
    desk.get_by_label("Single clients").fill("nobody@example.org")
    desk.get_by_role("button", name="Save").click()
    expect(desk).to_have_title(re.compile("^Error: New mailing"))
    expect(desk.get_by_label("Single clients")).to_be_focused()
    expect(desk.get_by_label("Single clients")).to_have_attribute("aria-invalid", "true")


def test_a_question_is_asked_in_the_page_and_nothing_is_done_until_it_is_answered(desk: Page, alice: User) -> None:
    run = make_run(alice, sent=1, queued=1)
    desk.goto(f"/runs/{run.pk}/")
    cancel, question = desk.locator("main").get_by_role("button", name="Cancel the run"), desk.get_by_role("dialog")
    cancel.focus()
    desk.keyboard.press("Enter")
    expect(question).to_contain_text("What is still queued will not be sent.")
    expect(question.get_by_role("button", name="No, go back")).to_be_focused()
    desk.keyboard.press("Escape")
    expect(question).to_be_hidden()
    expect(cancel).to_be_focused()
    assert Run.objects.get().cancelled_at is None

    desk.keyboard.press("Enter")
    question.get_by_role("button", name="Cancel the run").click()
    expect(desk.locator("main .alert-success").get_by_text("The run is cancelled")).to_be_visible()
    assert Run.objects.get().cancelled_at is not None


def test_after_the_first_sending_the_chart_is_drawn_and_what_was_said_stays(desk: Page, alice: User) -> None:
    mailing = factories.make_mailing(alice, 3)
    verbs.pause(mailing)
    desk.goto(f"/mailings/{mailing.pk}/")
    desk.get_by_role("button", name="Resume").click()
    empty, starts = desk.locator(".empty"), desk.get_by_text("it is about to start")
    expect(empty).to_be_visible()
    expect(starts).to_have_count(1)
    said = desk.locator("main .alert-success").inner_text()

    run = make_run(alice, sent=2, failed=1)  # what the dispatcher does meanwhile
    Run.objects.filter(pk=run.pk).update(mailing=mailing)
    Mailing.objects.filter(pk=mailing.pk).update(next_at=None)
    chart = desk.locator("canvas[data-chart]")
    expect(chart).to_be_visible()
    desk.wait_for_function("Chart.getChart(document.querySelector('canvas[data-chart]')) !== undefined")
    assert desk.locator("main .alert-success").inner_text() == said
    expect(empty).to_have_count(0)
    expect(starts).to_have_count(0)


def test_what_a_mailing_will_do_stands_above_the_button_on_a_phone_too(desk: Page, alice: User) -> None:
    factories.make_message(alice)
    factories.make_list(alice, 2)
    for width in (390, 1440):
        desk.set_viewport_size({"width": width, "height": 844})
        desk.goto("/mailings/new/")
        expect(desk.get_by_text("At once, when you save it")).to_be_visible()
        summary = desk.get_by_text("What it will do").bounding_box()
        save = desk.get_by_role("button", name="Save").bounding_box()
        assert summary
        assert save
        assert summary["y"] < save["y"]


def test_an_address_breaks_after_an_at_sign_or_a_dot_alone(desk: Page, alice: User) -> None:
    run = make_run(alice, sent=3, failed=2)
    address = "aleksandra.konstantinopolskaya@department.example.org"
    run.deliveries.update(address=address, settled_at=timezone.now() - timedelta(hours=1))
    for width in (390, 1440):
        desk.set_viewport_size({"width": width, "height": 844})
        for page in (f"/runs/{run.pk}/letters/", "/dead-letters/of/failed-permanent-550/"):
            desk.goto(page)
            cell = desk.locator("td.address a").first
            assert cell.inner_text() == address
            lines = cell.evaluate(LINES)
            assert all(line.endswith(("@", ".")) for line in lines[:-1]), (page, width, lines)
            assert "".join(lines) == address


LINES = """
link => {
    const lines = []
    let last = null
    const walker = document.createTreeWalker(link, NodeFilter.SHOW_TEXT)
    for (let node = walker.nextNode(); node; node = walker.nextNode())
        for (let at = 0; at < node.length; at++) {
            const range = document.createRange()
            range.setStart(node, at)
            range.setEnd(node, at + 1)
            const { top } = range.getBoundingClientRect()
            if (last === null || Math.abs(top - last) > 4) lines.push("")
            lines[lines.length - 1] += node.data[at]
            last = top
        }
    return lines
}
"""
"""An element's text as it stands in lines."""

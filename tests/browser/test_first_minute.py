"""The first minute, as the README promises it: from signing up to the letter in the inbox."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Vestnik
from tests.timing import wait_until

PASSWORD = "a quite long password"


def sign_up(page: Page, vestnik: Vestnik, address: str) -> None:
    """Register, follow the link that came by mail, and type the password there."""
    page.goto("/")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("E-mail").fill(address)
    page.get_by_label("Password", exact=False).first.fill(PASSWORD)
    page.get_by_role("button", name="Create the account").click()
    letter = wait_until(lambda: vestnik.letters(address))[0]
    link = re.search(r"http\S+", vestnik.text_of(letter))
    assert link
    page.goto(link[0])
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm and sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_the_first_minute_from_sign_up_to_the_letter_in_the_inbox(
    page: Page, vestnik: Vestnik, faults: list[str]
) -> None:
    sign_up(page, vestnik, "alice@example.org")

    page.goto("/clients/new/")
    page.get_by_label("E-mail").fill("anna@example.net")
    page.get_by_label("Full name").fill("Анна Сергеева")
    page.get_by_role("button", name="Save").click()

    page.goto("/messages/new/")
    page.get_by_label("Subject").fill("News for {{ full_name }}")
    page.get_by_label("HTML").fill('<p style="color: teal">Hello, {{ full_name }}!</p>')
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.frame_locator("iframe[name=preview]").get_by_text("Hello, Анна Сергеева!")).to_be_visible()
    page.get_by_role("button", name="Save").click()

    page.get_by_role("link", name="Send it").click()
    page.get_by_label("Name", exact=True).fill("First mailing")
    page.get_by_label("Single clients").fill("anna@example.net")
    page.get_by_label("Single clients").blur()
    expect(page.get_by_text("1 client", exact=True)).to_be_visible()
    expect(page.get_by_text("At once, when you save it")).to_be_visible()
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Riga")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="First mailing")).to_be_visible()

    letter = wait_until(lambda: vestnik.letters("anna@example.net"))[0]
    assert letter["subject"] == "News for Анна Сергеева"

    wait_until(lambda: page.reload() and page.get_by_text("finished").count())
    page.get_by_role("row", name="finished").get_by_role("link").first.click()
    expect(page.get_by_text("anna@example.net")).to_be_visible()
    assert not faults


def test_a_runs_page_follows_it_by_itself(page: Page, vestnik: Vestnik, faults: list[str]) -> None:
    sign_up(page, vestnik, "bob@example.org")
    page.goto("/clients/new/")
    page.get_by_label("E-mail").fill("anna@busy.example")  # the inbox asks to come again later
    page.get_by_role("button", name="Save").click()
    page.goto("/messages/new/")
    page.get_by_label("Subject").fill("News")
    page.get_by_label("Plain text").fill("Hello.")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Send it").click()
    page.get_by_label("Name", exact=True).fill("Later")
    page.get_by_label("Single clients").fill("anna@busy.example")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/mailings/\d+/$"))
    mailing = page.url
    wait_until(lambda: page.reload() and page.get_by_text("running", exact=True).count())
    page.get_by_role("row", name="running").get_by_role("link").first.click()

    live = page.locator("#live")
    expect(live).to_contain_text("next try")
    another = page.context.new_page()
    another.goto(mailing)
    another.get_by_role("button", name="Cancel the run").click()
    another.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    expect(another.locator("main .alert-success").get_by_text("The run is cancelled")).to_be_visible()

    expect(page.get_by_text("cancelled", exact=True).first).to_be_visible()
    expect(live).not_to_have_attribute("hx-get", re.compile("."))
    assert not faults

"""The pages on which messages are written and read."""

import html
import re
import uuid
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client as Browser
from django.urls import reverse

from vestnik import sharing
from vestnik.accounts.models import User
from vestnik.clients import verbs as clients
from vestnik.mailings import verbs
from vestnik.mailings.models import Mailing, Message
from vestnik.testing import factories

pytestmark = pytest.mark.usefixtures("valkey")

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def browser(alice: User) -> Browser:
    browser = Browser()
    browser.force_login(alice)
    return browser


def written(**fields: Any) -> dict[str, Any]:
    return {"subject": "News", "text": "Hello.", "html": "", "form_key": uuid.uuid4(), **fields}


def test_a_message_is_written_and_shown(browser: Browser, alice: User) -> None:
    answer = browser.post(reverse("messages:new"), written(subject="News for {{ full_name }}"), follow=True)

    message = Message.objects.get()
    assert (message.owner, message.subject) == (alice, "News for {{ full_name }}")
    assert answer.redirect_chain[-1][0] == reverse("messages:detail", args=[message.pk])
    assert "News for Anna Sergeeva" in answer.content.decode()


def test_a_double_click_makes_one_message(browser: Browser) -> None:
    form = written()
    first, second = (browser.post(reverse("messages:new"), form) for _ in range(2))

    assert Message.objects.count() == 1
    assert first["Location"] == second["Location"]


def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_is_kept(browser: Browser) -> None:
    answer = browser.post(reverse("messages:new"), written(subject="News for {{ name }}", text="Some text"))

    assert answer.status_code == 200
    assert "Unknown placeholders: name" in str(answer.context["form"].errors["subject"])
    assert "Some text" in answer.content.decode()
    assert not Message.objects.exists()


def test_a_subject_of_ten_thousand_characters_is_refused(browser: Browser) -> None:
    answer = browser.post(reverse("messages:new"), written(subject="x" * 10_000))

    assert "at most 250 characters" in str(answer.context["form"].errors["subject"])


def test_a_message_without_a_text_is_refused(browser: Browser) -> None:
    answer = browser.post(reverse("messages:new"), written(text=" "))

    assert answer.context["form"].errors["text"]


def test_a_form_that_was_corrected_is_saved(browser: Browser) -> None:
    form = written(text="")
    browser.post(reverse("messages:new"), form)
    browser.post(reverse("messages:new"), {**form, "text": "Now with a text"})

    assert Message.objects.get().text == "Now with a text"


def test_a_message_is_changed(browser: Browser, alice: User) -> None:
    message = factories.make_message(alice)
    browser.post(reverse("messages:change", args=[message.pk]), written(subject="Better news"))

    message.refresh_from_db()
    assert message.subject == "Better news"


def test_a_message_is_deleted_after_a_question(browser: Browser, alice: User) -> None:
    message = factories.make_message(alice)
    address = reverse("messages:delete", args=[message.pk])

    assert message.subject in browser.get(address).content.decode()
    assert Message.objects.exists()
    browser.post(address)
    assert not Message.objects.exists()


def test_a_message_in_use_stays_and_the_page_says_why(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice)
    answer = browser.post(reverse("messages:delete", args=[mailing.message_id]))

    assert "A mailing uses this message" in answer.content.decode()
    assert Message.objects.exists()


@pytest.mark.parametrize("page", ["detail", "letter", "change", "delete"])
def test_for_a_stranger_a_message_does_not_exist(alice: User, bob: User, page: str) -> None:
    message = factories.make_message(alice)
    browser = Browser()
    browser.force_login(bob)

    for answer in (browser.get(reverse(f"messages:{page}", args=[message.pk])),):
        assert answer.status_code == 404
    if page in ("change", "delete"):
        assert browser.post(reverse(f"messages:{page}", args=[message.pk]), written()).status_code == 404
    assert Message.objects.get().subject == message.subject


def test_a_visitor_is_asked_to_sign_in(db: None) -> None:
    answer = Browser().get(reverse("messages:new"))

    assert answer.status_code == 302
    assert answer["Location"].endswith("?next=/messages/new/")


def test_who_has_not_confirmed_the_mailbox_makes_nothing(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(confirmed_at=None)
    browser = Browser()
    browser.force_login(alice)

    assert browser.post(reverse("messages:new"), written()).status_code == 403
    assert not Message.objects.exists()


def test_scripts_in_subject_and_text_are_shown_and_not_run(browser: Browser, alice: User) -> None:
    message = factories.make_message(alice, subject=SCRIPT, text=SCRIPT)

    for address in (reverse("messages:list"), reverse("messages:detail", args=[message.pk])):
        page = browser.get(address).content.decode()
        assert SCRIPT not in page
        assert "&lt;script&gt;" in page


def test_a_letters_html_is_only_shown_in_a_sandbox(browser: Browser, alice: User) -> None:
    message = verbs.create_message(alice, subject="HTML", html=f"<b>Hi {{{{ full_name }}}}</b>{SCRIPT}")
    page = browser.get(reverse("messages:detail", args=[message.pk])).content.decode()
    letter = browser.get(reverse("messages:letter", args=[message.pk]))

    assert "<iframe" in page
    assert "<b>Hi" not in page
    assert b"<b>Hi Anna Sergeeva</b>" in letter.content
    policy = letter["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert letter["X-Frame-Options"] == "SAMEORIGIN"


def test_the_preview_shows_what_is_being_written_to_the_first_client(browser: Browser, alice: User) -> None:
    factories.make_clients(alice, 2)
    shown = browser.post(reverse("messages:preview"), written(html="<p>Dear {{ full_name }}</p>")).content.decode()
    fault = browser.post(reverse("messages:preview"), written(text="{{ nothing }}")).content.decode()

    assert "Dear Client" in shown
    assert "Unknown placeholders: nothing" in fault
    assert not Message.objects.exists()


def test_the_list_is_searched_and_sorted(browser: Browser, alice: User) -> None:
    for subject in ("Winter sale", "Зимняя распродажа", "Summer"):
        factories.make_message(alice, subject=subject)

    found = browser.get(reverse("messages:list"), {"q": "зимняя"}).context["object_list"]
    assert [message.subject for message in found] == ["Зимняя распродажа"]
    ordered = browser.get(reverse("messages:list"), {"sort": "subject"}).context["object_list"]
    assert [message.subject for message in ordered] == ["Summer", "Winter sale", "Зимняя распродажа"]
    assert (
        browser.get(reverse("messages:list"), {"sort": "owner__password", "page": "x", "q": "\0%_"}).status_code == 200
    )


def test_htmx_gets_the_table_alone(browser: Browser, alice: User) -> None:
    factories.make_message(alice)
    table = browser.get(reverse("messages:list"), headers={"HX-Request": "true"}).content.decode()

    assert table.lstrip().startswith('<div id="table">')
    assert "<html" not in table


def test_a_page_of_messages_asks_the_same_number_of_queries_however_many_there_are(
    browser: Browser, alice: User, django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    factories.make_message(alice)
    browser.get(reverse("messages:list"))  # once a while it also notes when somebody was last seen
    with django_assert_max_num_queries(8) as few:
        browser.get(reverse("messages:list"))
    for _ in range(30):
        factories.make_message(alice)
    with django_assert_num_queries(len(few)):
        browser.get(reverse("messages:list"))


def test_a_form_left_open_over_a_sign_out_gets_a_plain_answer(alice: User) -> None:
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(alice)
    answer = browser.post(reverse("messages:new"), written())

    assert answer.status_code == 403
    assert "Nothing was saved" in answer.content.decode()
    assert not Message.objects.exists()


def test_who_goes_back_and_writes_something_else_makes_another(browser: Browser) -> None:
    form = written(subject="Anna")
    browser.post(reverse("messages:new"), form)
    browser.post(reverse("messages:new"), {**form, "subject": "Boris"})

    assert {message.subject for message in Message.objects.all()} == {"Anna", "Boris"}


def test_a_forged_key_hinders_nobody(browser: Browser) -> None:
    browser.post(reverse("messages:new"), written(form_key="forged"))

    assert Message.objects.count() == 1


def test_what_is_sent_after_a_sign_out_is_answered_plainly(db: None) -> None:
    answer = Browser().post(reverse("messages:new"), written())

    assert answer.status_code == 403
    assert "Nothing was saved" in answer.content.decode()


def test_a_text_of_more_than_a_million_characters_is_refused_beside_it(browser: Browser) -> None:
    answer = browser.post(reverse("messages:new"), written(html="й" * 1_000_001))

    assert "At most 1000000 characters" in str(answer.context["form"].errors["html"])


def test_a_request_beyond_all_measure_gets_a_plain_answer(browser: Browser) -> None:
    answer = browser.post(reverse("messages:new"), written(html="x" * (21 << 20)))

    assert answer.status_code == 400
    assert "Nothing was saved" in answer.content.decode()


def test_a_form_that_may_not_be_sent_is_not_offered(maria: User) -> None:
    browser = Browser()
    browser.force_login(maria)

    assert browser.get(reverse("messages:new")).status_code == 403
    assert reverse("messages:new") not in browser.get(reverse("messages:list")).content.decode()


def test_no_proxy_keeps_a_private_page(browser: Browser) -> None:
    assert "private" in browser.get(reverse("messages:list"))["Cache-Control"]


def letter_pages(message: Message) -> list[str]:
    """Where the message is shown as a letter."""
    mailing = factories.make_mailing(message.owner, 1, message=message)
    return [
        reverse("messages:letter", args=[message.pk]),
        reverse("mailings:letter", args=[mailing.pk]),
        f"{reverse('messages:preview')}?message={message.pk}",
    ]


def shown_at(browser: Browser, address: str, message: Message) -> Any:
    return browser.post(address, written(html=message.html)) if "preview" in address else browser.get(address)


def test_what_is_anothers_is_shown_for_somebody_made_up(alice: User, bob: User) -> None:
    factories.make_clients(alice, 1)
    (client,) = factories.make_clients(bob, 1)
    message = verbs.create_message(alice, subject="For {{ full_name }}", html="<p>{{ full_name }} {{ email }}</p>")
    pages = letter_pages(message)
    sharing.share(message, alice, bob.email, "edit")
    sharing.share(Mailing.objects.get(), alice, bob.email, "view")
    browser = Browser()
    browser.force_login(bob)

    for address in pages:
        assert "<p>Anna Sergeeva anna@example.org</p>" in shown_at(browser, address, message).content.decode()
    page = browser.get(reverse("messages:detail", args=[message.pk])).content.decode()
    assert "For Anna Sergeeva" in page
    assert client.email not in page
    User.objects.filter(pk=bob.pk).update(language="ru")
    assert "Анна Сергеева" in browser.get(pages[0]).content.decode()


@pytest.mark.parametrize("page", range(3))
def test_pictures_of_other_servers_are_loaded_when_asked_for_and_then_for_nobodys_address(
    browser: Browser, alice: User, page: int
) -> None:
    (client,) = factories.make_clients(alice, 1)
    message = verbs.create_message(alice, subject="P", html='<img src="https://elsewhere.example/?{{ email }}">')
    address = letter_pages(message)[page]

    closed = shown_at(browser, address, message)
    assert quote(client.email) in closed.content.decode()
    assert "img-src data:;" in closed["Content-Security-Policy"] + ";"
    assert closed["X-DNS-Prefetch-Control"] == "off"
    asked = shown_at(browser, f"{address}{'&' if '?' in address else '?'}pictures=1", message)
    assert quote(client.email) not in asked.content.decode()
    assert "?anna%40example.org" in asked.content.decode()
    assert "img-src https: http: data:" in asked["Content-Security-Policy"]
    assert "sandbox" in asked["Content-Security-Policy"]


def test_a_letter_that_shows_pictures_offers_to_load_them(browser: Browser, alice: User) -> None:
    bare = verbs.create_message(alice, subject="Bare", html='<p>Dear <a href="https://example.org">you</a></p>')
    rich = verbs.create_message(alice, subject="Rich", html="<p style='Background:url(//x.example/a)'>Dear</p>")

    for message, offered in ((bare, False), (rich, True)):
        page = browser.get(reverse("messages:detail", args=[message.pk])).content.decode()
        assert (f"{reverse('messages:letter', args=[message.pk])}?pictures=1" in page) == offered


@pytest.mark.parametrize(
    "connecting",
    [
        '<LINK rel="preconnect" href="//x.example">',
        '<iframe srcdoc="&lt;link rel=preconnect href=//x.example&gt;"></iframe>',
        '<iframe SRCDOC = "&#60;&#108;ink rel=preconnect href=//x.example>"></iframe>',
        '<meta http-equiv="x-dns-prefetch-control" content="on">',
    ],
)
def test_a_letter_connects_to_nobody_beforehand(browser: Browser, alice: User, connecting: str) -> None:
    message = verbs.create_message(alice, subject="L", html=f"{connecting}<p>Dear</p>")

    shown = browser.get(reverse("messages:letter", args=[message.pk])).content.decode().lower()
    assert "<p>dear</p>" in shown
    assert not re.search(r'<link|[ "\'](?:srcdoc|x-dns)', shown)


def test_whom_a_message_is_shared_with_is_not_told_of_mailings_they_cannot_see(alice: User, bob: User) -> None:
    message = factories.make_message(alice)
    for owner, count in ((alice, 3), (bob, 1)):
        sharing.share(message, alice, bob.email, "view")
        for _ in range(count):
            factories.make_mailing(owner, 1, message=message)
    browser = Browser()
    for reader, seen in ((alice, 3), (bob, 1)):
        browser.force_login(reader)
        assert browser.get(reverse("messages:list")).context["object_list"].get().mailing_count == seen


def test_what_its_writer_should_know_stands_beside_a_message(browser: Browser, alice: User) -> None:
    clients.create_client(alice, "nobody@example.org")
    answer = browser.post(
        reverse("messages:new"), written(text="", html="<p>{{ full_name }} {{ attributes.city }}</p>"), follow=True
    )
    page = html.unescape(answer.content.decode())

    assert "no plain text goes along" in page
    assert "None of your clients has the attribute city." in page
    assert "1 of 1 client has no full_name" in page
    assert '{{ full_name | default: "friend" }}' in page


def test_of_the_clients_of_others_nothing_is_told(browser: Browser, alice: User, bob: User) -> None:
    clients.create_client(alice, "nobody@example.org")
    message = factories.make_message(bob, text="Dear {{ full_name }}")
    sharing.share(message, bob, alice.email, "view")

    assert "no full_name" not in browser.get(reverse("messages:detail", args=[message.pk])).content.decode()


def test_the_place_of_a_fault_stands_beside_its_field(browser: Browser) -> None:
    text = "Hello!\r\nDear {{full_name}, how are you?"
    answer = browser.post(reverse("messages:new"), written(text=text))

    assert answer.context["form"].errors["text"].as_data()[0].messages == [
        "A brace is missing, too much, or apart from its twin: “Hello! Dear {{full_name}, how are you?” (line 2)."
        " A placeholder is written {{ full_name }}."
    ]


@pytest.mark.parametrize("page", ["preview", "detail", "letter"])
def test_a_letter_too_large_to_be_shown_is_told_and_not_shown(browser: Browser, alice: User, page: str) -> None:
    client = clients.create_client(alice, "a@example.org")
    client.attributes = {"a": "x" * 50_000}
    client.save()
    text = "{{ attributes.a }}" * 900
    message = factories.make_message(alice, text=text)
    if page == "preview":
        answer = browser.post(reverse("messages:preview"), written(text=text))
    else:
        answer = browser.get(reverse(f"messages:{page}", args=[message.pk]))

    assert answer.status_code == 200
    assert len(answer.content) < 100_000
    assert "the letter would have 45,000,069 bytes, and may have 10,000,000" in answer.content.decode()


def test_a_message_saved_before_its_fault_was_known_is_shown_with_it(browser: Browser, alice: User) -> None:
    message = factories.make_message(alice)
    Message.objects.filter(pk=message.pk).update(text="Dear {{full_name}")
    answer = browser.get(reverse("messages:detail", args=[message.pk]))

    assert "A brace is missing" in answer.content.decode()


def test_bounds_are_told_beside_the_texts(browser: Browser) -> None:
    page = browser.get(reverse("messages:new")).content.decode()

    assert "1,000,000 characters and 1,000 placeholders" in page

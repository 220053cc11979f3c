"""The foot of a letter: who writes, from where, and the way out, unless the author has put that somewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import permits
from vestnik.accounts.models import User
from vestnik.mailings import foot, rendering
from vestnik.mailings.ledger.models import MailingKind
from vestnik.mailings.models import Message
from vestnik.testing.factories import make_mailing

LINK = "https://vestnik.test/u/abc"


def letter(html="", text="", language="en", name="Alice Archer", postal_address="1 Long Street, Riga"):
    """What somebody reads of such a message."""
    message = Message(subject="News", html=html, text=text, language=language)
    html, text = foot.texts(message, name, postal_address)
    content = rendering.Content("News", html, text, "news@example.org", "", "")
    return rendering.CompiledMessage(content).preview(
        address="bob@example.org", full_name="Bob", attributes={}, unsubscribe_url=LINK
    )


def test_a_plain_text_ends_with_who_writes_and_the_link():
    assert letter(text="Hello.\n").text == f"Hello.\n\n-- \nAlice Archer\n1 Long Street, Riga\nUnsubscribe: {LINK}\n"


def test_the_foot_is_in_the_messages_language():
    assert letter(text="Здравствуйте.", language="ru").text.endswith(f"\nОтписаться: {LINK}\n")
    assert ">Отписаться</a>" in letter(html="<p>Здравствуйте.</p>", language="ru").html


def test_a_letters_html_has_the_foot_inside_its_body():
    page = letter(html="<html><body><p>Hello</p></body></html>").html
    assert page.endswith("</div>\n</body></html>")
    assert page.count(f'<a href="{LINK}"') == 1
    assert "Alice Archer &middot; 1 Long Street, Riga" in page


@pytest.mark.parametrize("written", ["{{ unsubscribe_url }}", "{{Unsubscribe_URL}}", "%7B%7Bunsubscribe_url%7D%7D"])
def test_a_text_that_names_the_link_stays_as_it_is(written):
    assert letter(text=f"Hello. Stop: {written}").text == f"Hello. Stop: {LINK}"


def test_each_of_the_two_texts_is_looked_at_by_itself():
    both = letter(html='<p>Hello. <a href="{{ unsubscribe_url }}">Stop</a></p>', text="Hello.")
    assert both.html == f'<p>Hello. <a href="{LINK}">Stop</a></p>'
    assert LINK in both.text


def test_a_message_without_a_text_gets_no_part_for_the_foot_alone():
    assert letter(html="<p>Hello</p>").text == ""
    assert letter(text="Hello").html == ""


def test_where_nobody_said_who_writes_the_link_stands_alone():
    assert letter(text="Hello", name="", postal_address=" ").text == f"Hello\n\n-- \nUnsubscribe: {LINK}\n"


words = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=40)


@given(
    name=words
    | st.sampled_from(["{{ email }}", "%7B%7B email %7D%7D", "｛｛email｝｝", "&#123;&#123;email}}", "</div>"])
)
def test_no_name_is_a_placeholder_or_a_tag_in_the_foot(name):
    found = letter(html="<p>Hello</p>", text="Hello", name=name, postal_address=name)
    assert "bob@example.org" not in found.text
    assert "bob@example.org" not in found.html
    assert found.html.count("</div>") == 1
    assert found.html.count(LINK) == found.text.count(LINK) == 1


def test_service_letters_have_no_foot(alice):
    mailing = make_mailing(permits.of_service_letters(alice), kind=MailingKind.SERVICE)
    assert foot.texts_of(mailing, foot.kind_of(mailing), "Alice") == (mailing.message.html, mailing.message.text)
    alice.user_permissions.clear()
    mailing.owner = User.objects.get(pk=alice.pk)
    assert foot.kind_of(mailing) == MailingKind.MAILING, "the right was taken back"
    assert "unsubscribe_url" in foot.texts_of(mailing, foot.kind_of(mailing), "Alice")[1]


@pytest.mark.parametrize(
    ("html", "begins"),
    [
        ("<body>Hi</body></html><!-- </body> -->", "<body>Hi\n<div"),
        ("<body>Hi</body><!--[if mso]></body></html><![endif]-->", "<body>Hi\n<div"),
        ("<!-- <body></body> --><p>Hi</p>", "<!-- <body></body> --><p>Hi</p>\n<div"),
        ('<script>"</body>"</script><p>Hi</p>', '<script>"</body>"</script><p>Hi</p>\n<div'),
        ("<p>Hi</p><!-- open", "<p>Hi</p><!-- open-->\n<div"),
        ("<p>Hi</p><style>p {", "<p>Hi</p><style>p {</style>\n<div"),
        ("<p>Hi</p><!-- {{ unsubscribe_url }} -->", None),
    ],
)
def test_the_foot_is_where_people_see_it(html, begins):
    page = letter(html=html).html
    assert f'<a href="{LINK}" style' in page
    assert begins is None or page.startswith(begins)


@pytest.mark.parametrize(
    ("text", "html"),
    [("Stop: https://{{ unsubscribe_url }}", ""), ("", '<a href="https://{{ unsubscribe_url }}">Stop</a>')],
)
def test_the_link_inside_of_another_address_is_refused_when_it_is_saved(alice, text, html):
    from django.core.exceptions import ValidationError

    from vestnik.mailings import verbs

    with pytest.raises(ValidationError, match="no value can be filled in there"):
        verbs.create_message(alice, "News", html=html, text=text)

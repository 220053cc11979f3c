"""A letter taken apart says who wrote to whom about what as it was written. No network."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.providers.http.dialects.parts import Mailbox, taken_apart
from tests.providers.conftest import letter
from vestnik.mail import headers
from vestnik.mail.texts import one_line

PUBLISHER = "Издательство детской литературы «Самокат» и друзья"
NAMES = st.text() | st.text(st.sampled_from('абвгдеёжз ABC"\\,;:<>()[]@=?_.\t\n'))


@given(name=NAMES, more=st.lists(NAMES, max_size=3), subject=NAMES)
@example(PUBLISHER, ["Константин Константинопольский"], "Новости издательства детской литературы, часть вторая")
@example('Garcia, "Maria" \\ M', ["=?utf-8?b?0JLQtdGB?=", "=?utf-8?q?a?= =?utf-8?q?b?="], "=?")
@example("a" * 100, ["Пётр 😀" * 30], "я " * 100)
def test_names_and_subject_are_what_was_written_however_long_they_are(name: str, more: list[str], subject: str) -> None:
    people = [(each, f"office{number}@our.example") for number, each in enumerate(more)]
    content = "".join(
        [
            headers.mailbox("From", name, "news@our.example"),
            headers.recipient(name, "мария@example.org"),
            headers.mailboxes("Reply-To", people),
            headers.unstructured("Subject", subject),
        ]
    )
    parts = taken_apart(letter(content=f"{content}\r\nHello.\r\n".encode()))
    assert parts.sender == Mailbox(one_line(name), "news@our.example")
    assert parts.recipient.name == one_line(name)
    assert parts.reply_to == [Mailbox(one_line(each), address) for each, address in people]
    assert parts.subject == one_line(subject)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("=?utf-8?q?Caf=C3=A9_?= =?iso-8859-1?Q?cr=E8me?=", "Café crème"),
        ("=?utf-8?b?0J/RgNC4?=\r\n\t=?utf-8*ru?B?0LLQtdGC?=", "Привет"),
        ("=?utf-8?b?0J/RgNC40LI=?= Ltd =?utf-8?b?0J/RgNC40LI=?=", "Прив Ltd Прив"),
        ("=?utf-8?b?0J/RgNC40A==?= =?utf-8?b?stC10YI=?=", "Привет"),  # cut within a character
        ("=?no-such-charset?q?x?=", "=?no-such-charset?q?x?="),
        ("=?utf-8?b?0?=", "=?utf-8?b?0?="),
        ("=?utf-8?q?=FF?=", "\ufffd"),
        ("Мария", "Мария"),
    ],
)
def test_encoded_words_of_others_are_read_as_rfc_2047_has_them(written: str, read: str) -> None:
    content = f"From: {written} <news@our.example>\r\n\r\nHello.\r\n".encode()
    assert taken_apart(letter(content=content)).sender == Mailbox(read, "news@our.example")


@pytest.mark.parametrize("written", ["", "a@our.example, <", "()", ",,", '"', "team:;", "=?utf-8?b?"])
def test_nonsense_in_place_of_people_names_nobody(written: str) -> None:
    content = f"Reply-To: {written}\r\n\r\nHello.\r\n".encode()
    assert all("@" in each.address for each in taken_apart(letter(content=content)).reply_to)

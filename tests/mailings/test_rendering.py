"""A letter's bytes: what is meant comes out of a parser that is not ours, and nothing else does."""

import html as html_library
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vestnik.mailings import rendering
from vestnik.mailings.rendering import CompiledMessage, Content, UnknownPlaceholder

KEY = "0197f3b2c5d84e0c@mail.example.org"
NOON = datetime(2025, 1, 31, 12, 0, 0, 999999, tzinfo=UTC)
HEADERS = ["From", "To", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"]


def message(**changes: str) -> CompiledMessage:
    content = {
        "subject": "News",
        "html": "<p>Hello</p>",
        "text": "Hello",
        "sender": "news@example.org",
        "sender_name": "Vestnik",
        "reply_to": "alice@example.org",
    }
    return CompiledMessage(Content(**(content | changes)))


def letter(
    compiled: CompiledMessage,
    *,
    address: str = "bob@example.com",
    full_name: str = "Bob",
    attributes: Mapping[str, str] | None = None,
    key: str = KEY,
    date: datetime = NOON,
) -> bytes:
    return compiled.render(key=key, address=address, full_name=full_name, attributes=attributes or {}, date=date)


def parsed(sent: bytes) -> EmailMessage:
    """The letter as the standard library reads it, after a look at what any letter must be."""
    assert sent.isascii()
    assert b"\0" not in sent
    assert sent.endswith(b"\r\n")
    assert sent.replace(b"\r\n", b"").translate(None, b"\r\n") == sent.replace(b"\r\n", b"")
    assert max(map(len, sent.split(b"\r\n"))) <= rendering.MAX_LINE
    for line in sent.partition(b"\r\n\r\n")[0].decode().split("\r\n"):
        words = re.findall(r"=\?utf-8\?b\?[A-Za-z0-9+/]+=*\?=", line)
        assert all(len(word) <= 75 for word in words)
        assert len(line) <= (76 if words else 78) or re.fullmatch(r"(\w+:)? <?\S+@\S+", line)
    found = message_from_bytes(sent, policy=policy.default)
    assert isinstance(found, EmailMessage)
    for part in found.walk():
        assert part.defects == []
        assert [header for header in part.values() if header.defects] == []
    return found


def display_name(found: EmailMessage, header: str) -> str:
    """The name before the address. (Python 3.11's own reading adds and loses spaces.)"""
    raw = dict(found.raw_items())[header].replace("\r\n", "")
    phrase, _, address = raw.rpartition(" ")
    read = found[header].addresses[0]
    assert f"<{read.addr_spec}>" == address if phrase else read.addr_spec == address
    name = re.sub(r"\\(.)", r"\1", phrase[1:-1]) if phrase[:1] == '"' else str(make_header(decode_header(phrase)))
    assert "".join(read.display_name.split()) == "".join(name.split())
    return name


def body(found: EmailMessage, subtype: str) -> str:
    """The text of one part, line feeds as line ends."""
    part = found.get_body((subtype,))
    assert part is not None
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode("utf-8").replace("\r\n", "\n")


# Placeholders


def test_the_names_in_a_template_are_found() -> None:
    template = "{{full_name}} {{ email }} {{\tattributes.город\n}} {{ nonsense }} {{ email }}"
    assert rendering.placeholders(template) == {"full_name", "email", "attributes.город", "nonsense"}


@pytest.mark.parametrize(
    "template",
    [
        "",
        "no placeholder",
        "{{ full_name }}{{email}}",
        "{{ attributes.city }} {{ attributes._x1 }} {{ attributes.Имя }}",
        "{{ lone",
        "lone }}",
        "}} {{",
        "{ email } {a{b}c} {{{{",
        "<style>@media print{p{color:red}}</style>",
    ],
)
def test_known_names_and_lone_braces_are_taken(template: str) -> None:
    rendering.check(template)


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{{ name }}", ["name"]),
        ("{{}}", [""]),
        ("{{ first_name }}", ["first_name"]),
        ("{{ email|upper }} {{ email }}", ["email|upper"]),
        ("{{ attributes }} {{ attributes. }}", ["attributes", "attributes."]),
        ("{{ attributes.{city} }} {{ fo{o }}", ["attributes.{city}", "fo{o"]),
        ("{{ attributes['x'] }}", ["attributes['x']"]),
        ("{{ b }}{{ a }}{{ b }}", ["b", "a"]),
        ("{{{ email }}}", ["{ email"]),
        ("{{ a\nb }}", ["a\nb"]),
        ("{{ {{ email }} }} {{ unsubscribe }}", ["unsubscribe"]),
    ],
)
def test_other_names_are_refused_and_named(template: str, names: list[str]) -> None:
    with pytest.raises(UnknownPlaceholder) as refused:
        rendering.check(template)
    assert refused.value.names == names
    for field in ("subject", "html", "text"):
        with pytest.raises(UnknownPlaceholder):
            message(**{field: template})


def test_the_refusal_is_a_sentence() -> None:
    with pytest.raises(UnknownPlaceholder) as refused:
        rendering.check("{{ name }}, {{ age }}")
    assert str(refused.value) == (
        "A letter has no {{ name }}, {{ age }}; it has {{ full_name }}, {{ email }}, {{ unsubscribe_url }} and"
        " {{ attributes.NAME }}."
    )


def test_lone_braces_are_sent_as_they_are() -> None:
    template = "{{ lone, {{ email }} }} and {% if x %}"
    assert body(parsed(letter(message(text=template))), "plain") == "{{ lone, bob@example.com }} and {% if x %}"


def test_values_fill_every_part() -> None:
    template = "{{ full_name }}, {{email}}, {{ attributes.город }}"
    found = parsed(
        letter(message(subject=template, html=template, text=template), full_name="Иван", attributes={"город": "Тула"})
    )
    assert found["Subject"] == body(found, "plain") == body(found, "html") == "Иван, bob@example.com, Тула"


def test_an_attribute_the_client_has_not_is_empty() -> None:
    compiled = message(subject="{{ attributes.city }}", text="[{{ attributes.city }}]")
    found = parsed(letter(compiled, attributes={"town": "Tula"}))
    assert (found["Subject"], body(found, "plain")) == ("", "[]")


def test_a_value_is_never_expanded_again() -> None:
    template = "{{ full_name }} {{ attributes.a }} }}"
    compiled = message(subject=template, html=template, text=template)
    found = parsed(letter(compiled, full_name="{{ email }}", attributes={"a": "{{ email"}))
    assert found["Subject"] == body(found, "plain") == body(found, "html") == "{{ email }} {{ email }}"


def test_values_are_escaped_in_html_and_nowhere_else() -> None:
    template = "{{ full_name }}"
    compiled = message(subject=template, html=f'<a title="{template}">&amp;</a>', text=template)
    found = parsed(letter(compiled, full_name="""<script>"&'</script>"""))
    assert body(found, "html") == '<a title="&lt;script&gt;&quot;&amp;&#x27;&lt;/script&gt;">&amp;</a>'
    assert found["Subject"] == body(found, "plain") == """<script>"&'</script>"""


# Which parts, which encoding


def test_a_letter_of_two_texts_offers_both_the_html_last() -> None:
    found = parsed(letter(message()))
    assert found.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in found.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    ("html", "text", "content_type"),
    [("<p>Hi</p>", " \n", "text/html"), ("", "Hi", "text/plain"), ("", "", "text/plain")],
)
def test_a_letter_of_one_text_is_that_text(html: str, text: str, content_type: str) -> None:
    found = parsed(letter(message(html=html, text=text)))
    assert found.get_content_type() == content_type
    assert found.get_content().strip() == (html + text).strip()


def encodings(sent: bytes) -> list[str]:
    return [str(part["Content-Transfer-Encoding"]) for part in parsed(sent).walk() if not part.is_multipart()]


def test_ascii_goes_as_it_is_and_the_rest_in_base64() -> None:
    assert encodings(letter(message(text="Hello", html="<p>Привет</p>"))) == ["7bit", "base64"]


def test_a_name_decides_the_encoding_of_its_own_letter() -> None:
    compiled = message(html="", text="Hello {{ full_name }}")
    assert encodings(letter(compiled, full_name="Bob")) == ["7bit"]
    assert encodings(letter(compiled, full_name="Боб")) == ["base64"]


@pytest.mark.parametrize(
    ("text", "value", "encoding"),
    [
        ("x" * 998 + "\nshort", "", "7bit"),
        ("x" * 999, "", "base64"),
        ("x" * 900 + "{{ attributes.a }}\n", "y" * 98, "7bit"),
        ("x" * 900 + "{{ attributes.a }}\n", "y" * 99, "base64"),
        ("x" * 900 + "\n{{ attributes.a }}\n", "y" * 998, "7bit"),
        ("x" * 900 + "{{ attributes.a }}\n", "y" * 98 + "\n" + "z" * 998, "7bit"),
        ("{{ attributes.a }}{{ attributes.a }}", "y" * 499, "7bit"),
        ("{{ attributes.a }}{{ attributes.a }}", "y" * 500, "base64"),
    ],
)
def test_no_line_is_too_long_for_the_wire(text: str, value: str, encoding: str) -> None:
    sent = letter(message(html="", text=text), attributes={"a": value})
    assert encodings(sent) == [encoding]
    assert body(parsed(sent), "plain").rstrip("\n") == text.replace("{{ attributes.a }}", value).rstrip("\n")


def test_base64_lines_are_at_most_76_characters() -> None:
    for length in range(50, 70):
        sent = letter(message(html="", text="я" * length))
        assert max(map(len, sent.split(b"\r\n\r\n", 1)[1].split(b"\r\n"))) <= 76
        assert body(parsed(sent), "plain") == "я" * length


def test_line_ends_of_every_kind_are_crlf_on_the_wire() -> None:
    sent = letter(message(html="", text="a\nb\rc\r\nd\n\r{{ attributes.a }}"), attributes={"a": "e\nf\rg\r\nh"})
    assert sent.endswith(b"\r\n\r\na\r\nb\r\nc\r\nd\r\n\r\ne\r\nf\r\ng\r\nh\r\n")


def test_a_value_cannot_end_a_part() -> None:
    compiled = message(html="<p>{{ attributes.a }}</p>", text="{{ attributes.a }}")
    boundary = parsed(letter(compiled)).get_boundary()
    attack = f"\n--{boundary}\nContent-Type: text/html\n\n<b>Boo</b>\n--{boundary}--\n"
    found = parsed(letter(compiled, attributes={"a": attack}))
    assert [part.get_content_type() for part in found.iter_parts()] == ["text/plain", "text/html"]
    assert body(found, "plain") == attack


# Headers


def test_a_letter_is_this() -> None:
    sent = letter(message(subject="Новости", html="", text="Hello, {{ full_name }}!"), full_name="Robert Q. Jones")
    assert sent.decode("ascii").split("\r\n") == [
        "From: Vestnik <news@example.org>",
        'To: "Robert Q. Jones" <bob@example.com>',
        "Reply-To: alice@example.org",
        "Subject: =?utf-8?b?0J3QvtCy0L7RgdGC0Lg=?=",
        "Date: Fri, 31 Jan 2025 12:00:00 +0000",
        "Message-ID: <0197f3b2c5d84e0c@mail.example.org>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "Hello, Robert Q. Jones!",
        "",
    ]


def test_every_header_is_there_once() -> None:
    assert parsed(letter(message())).keys() == HEADERS


def test_no_reply_address_means_no_such_header() -> None:
    assert "Reply-To" not in parsed(letter(message(reply_to="")))


def test_no_name_means_the_address_alone() -> None:
    found = parsed(letter(message(sender_name=" "), full_name=""))
    assert (found["From"], found["To"]) == ("news@example.org", "bob@example.com")


def test_the_date_is_in_utc_to_the_second() -> None:
    date = datetime(2025, 2, 1, 2, 59, 59, 999999, tzinfo=timezone(timedelta(hours=3)))
    assert dict(parsed(letter(message(), date=date)).raw_items())["Date"] == "Fri, 31 Jan 2025 23:59:59 +0000"


def test_each_letter_has_its_own_date() -> None:
    compiled = message()
    dates = [parsed(letter(compiled, date=NOON + timedelta(seconds=second)))["Date"].datetime for second in range(40)]
    assert dates == [NOON.replace(microsecond=0) + timedelta(seconds=second) for second in range(40)]


@pytest.mark.parametrize(
    "name",
    [
        "О" * 200,
        "Константин Константинович Константинопольский-" * 4,
        "👩‍👩‍👧‍👦" * 28,
        "🦊" * 200,
        'O\'Brien, "Bob" (the \\ one) <bob@evil.example>',
        "Smith " * 33,
        "x" * 200,
        "=?utf-8?b?0J3QvtCy?=",
        "a=?b",
        "Bob.",
        '"',
        "\\",
        "@",
        "مرحبا\u200f بالعالم\u200e",
        "Amélie",
        "Ame\u0301lie " * 20,
        "Иван\u00a0Иванов",
    ],
)
def test_any_name_comes_out_as_it_went_in(name: str) -> None:
    found = parsed(letter(message(sender_name=name), full_name=name))
    assert display_name(found, "To") == display_name(found, "From") == name.strip()


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "Щ" * 250,
        "Новости недели: что мы сделали и что будет дальше " * 5,
        "🦊" * 250,
        "All the news that fits to print " * 8,
        "All  the   news ",
        "x" * 70,
        "x" * 998,
        "short " + "x" * 300,
        "=?utf-8?q?=41?=",
        "Re: 2 + 2 =? 4",
        "№\u00a05 — «Вестник»",
        "\u202eRTL\u202c",
    ],
)
def test_any_subject_comes_out_on_one_line(subject: str) -> None:
    compiled = message(subject=subject, html="")
    assert parsed(letter(compiled))["Subject"] == re.sub(" +", " ", subject).strip()
    as_value = message(subject="{{ attributes.subject }}", html="")
    assert letter(as_value, attributes={"subject": subject}) == letter(compiled)


def test_long_ascii_subjects_are_folded_not_encoded() -> None:
    sent = letter(message(subject="All the news that fits to print " * 8))
    assert b"=?utf-8" not in sent


ATTACKS = [
    "Bob\r\nBcc: victim@example.net",
    "Bob\nBcc: victim@example.net",
    "Bob\rBcc: victim@example.net",
    "Bob\r\n\r\n<script>alert(1)</script>",
    "Bob\r\n .\r\n",
    "Bob\u2028Bcc: victim@example.net",
    "Bob\x85Bcc: victim@example.net",
    "Bob\x0bBcc: victim@example.net\x0c\x1c\x1d\x1e",
    "Боб\r\nBcc: victim@example.net",
    "\x00\r\nBcc: victim@example.net",
    '" <victim@example.net>, "',
    "Bob>, <victim@example.net",
    "=?utf-8?q?Bob=0D=0ABcc=3A_victim=40example.net?=",
    "\ud83d\ude00\r\nBcc: victim@example.net",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_value_adds_a_header_a_recipient_or_a_part(attack: str) -> None:
    compiled = message(
        subject=f"{attack} {{{{ full_name }}}} {{{{ attributes.a }}}}",
        sender_name=attack,
        text="{{ attributes.a }}",
        html="{{ full_name }}",
    )
    found = parsed(letter(compiled, full_name=attack, attributes={"a": attack}))
    assert found.keys() == HEADERS
    assert [address.addr_spec for address in found["To"].addresses] == ["bob@example.com"]
    assert [address.addr_spec for address in found["From"].addresses] == ["news@example.org"]
    assert [part.get_content_type() for part in found.iter_parts()] == ["text/plain", "text/html"]
    assert "<script>" not in body(found, "html")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bob",
        "bob@example.com\r\nBcc: victim@example.net",
        "bob@example.com\n",
        "bob@example.com, victim@example.net",
        "bob@example.com>",
        "<bob@example.com",
        "bob @example.com",
        "боб@пример.рф",
        "бо\u2028б@example.com",
        "бо\u202eб@example.com",
        "боб @example.com",
        "боб>@example.com",
        "боб@example.com, victim@example.net",
        "bob@пример.рф",
        "bob@example.com\x00",
        "a@b@c",
    ],
)
def test_what_is_no_address_stands_in_no_header(address: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a header"):
        letter(message(), address=address)
    with pytest.raises(ValueError, match="cannot stand in a header"):
        message(sender=address)
    with pytest.raises(ValueError, match="cannot be a Message-ID"):
        letter(message(), key=address)
    if address:
        with pytest.raises(ValueError, match="cannot stand in a header"):
            message(reply_to=address)


def test_an_address_of_another_script_stands_in_to_as_it_is_and_nowhere_else() -> None:
    address = "почта@xn--e1afmkfd.xn--p1ai"
    sent = letter(message(html=""), address=address, full_name="Боб")
    head, _, text = sent.partition(b"\r\n\r\n")
    (line,) = [line for line in head.split(b"\r\n") if not line.isascii()]
    assert line.decode() == f"To: =?utf-8?b?0JHQvtCx?= <{address}>"
    assert text.isascii()
    read = message_from_bytes(sent, policy=policy.SMTPUTF8)["To"].addresses[0].addr_spec
    assert read.encode("utf-8", "surrogateescape").decode() == address
    alone = letter(message(), address=address, full_name="")
    assert f"\r\nTo: {address}\r\n" in alone.decode()
    for no_such_sender in ({"sender": address}, {"reply_to": address}):
        with pytest.raises(ValueError, match="cannot stand in a header"):
            message(**no_such_sender)


def test_the_longest_address_fits() -> None:
    address = "a" * 64 + "@" + ".".join(["b" * 62] * 3)
    found = parsed(letter(message(), address=address, full_name="Боб " * 50))
    assert found["To"].addresses[0].addr_spec == address


# Any message to anybody


def clean(text: str) -> str:
    """The text as a letter can carry it, line feeds as line ends."""
    kept = []
    for character in text.replace("\r\n", "\n").replace("\r", "\n"):
        if 0xD800 <= ord(character) < 0xE000:
            kept.append("\ufffd")
        elif character in "\t\n" or not (character < " " or character == "\x7f"):
            kept.append(character)
    return "".join(kept)


def one_line(text: str) -> str:
    line = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in clean(text))
    return re.sub(" +", " ", line).strip()


TEXTS = st.text(max_size=60) | st.text(st.characters(max_codepoint=127), max_size=60) | st.sampled_from(ATTACKS)
CHARACTERS = st.text(st.characters() | st.sampled_from("\u200f\u202e🦊é\ud800\x00\r\n\t\"'<>&\\=?@,;:"), max_size=200)
NAMES = TEXTS | CHARACTERS
LITERALS = NAMES.map(lambda text: text.replace("{", "").replace("}", ""))
TEMPLATES = st.lists(
    LITERALS
    | st.sampled_from(["full_name", "email", "attributes.a", "attributes.Имя"]).map(lambda name: f"{{{{ {name} }}}}"),
    max_size=6,
)
SOME_TEMPLATES = st.just(["Hello ", "{{ full_name }}"]) | TEMPLATES


def meant(pieces: list[str], values: Mapping[str, str], escaped: Any = str) -> str:
    filled = []
    for piece in pieces:
        name = piece.strip("{} ") if piece.startswith("{{") else None
        filled.append(clean(piece) if name is None else escaped(clean(values[name])))
    return "".join(filled)


@settings(max_examples=400, deadline=None)
@given(
    SOME_TEMPLATES, SOME_TEMPLATES, SOME_TEMPLATES, NAMES, NAMES, st.dictionaries(st.sampled_from(["a", "Имя"]), NAMES)
)
@example(["{{ attributes.a }}"], ["\r", "{{ attributes.a }}"], [], "", "", {"a": "\n"})
def test_any_letter_says_what_was_meant(
    subject: list[str], html: list[str], text: list[str], sender_name: str, full_name: str, attributes: dict[str, str]
) -> None:
    compiled = message(subject="".join(subject), html="".join(html), text="".join(text), sender_name=sender_name)
    values = {"full_name": full_name, "email": "bob@example.com"}
    values |= {f"attributes.{name}": attributes.get(name, "") for name in ("a", "Имя")}
    found = parsed(letter(compiled, full_name=full_name, attributes=attributes))
    preview = compiled.preview(address="bob@example.com", full_name=full_name, attributes=attributes)

    assert [header for header in found if header != "Content-Transfer-Encoding"] == HEADERS
    assert found["Subject"] == preview.subject == one_line(meant(subject, values))
    assert display_name(found, "From") == one_line(sender_name)
    assert display_name(found, "To") == one_line(full_name)
    assert found["Message-ID"] == f"<{KEY}>"
    if not re.search("</?[a-zA-Z{]", "".join(html)):  # in tags, test_places.py says what is meant
        assert preview.html == meant(html, values, html_library.escape)
    assert preview.text == meant(text, values)
    several = found.is_multipart()
    for subtype, shown in (("plain", preview.text), ("html", preview.html)):
        if found.get_body((subtype,)):
            assert body(found, subtype) in ([shown] if several else [shown, shown + "\n"])
        else:
            assert shown.strip() == ""


@settings(max_examples=200, deadline=None)
@given(CHARACTERS, st.integers(1, 12))
def test_any_long_header_is_folded_between_characters(text: str, times: int) -> None:
    found = parsed(letter(message(subject=text * times, sender_name=text * times)))
    for word in re.findall(r"=\?utf-8\?b\?\S+\?=", str(dict(found.raw_items())["Subject"])):
        str(make_header(decode_header(word)))
    assert found["Subject"] == display_name(found, "From") == one_line(text * times)

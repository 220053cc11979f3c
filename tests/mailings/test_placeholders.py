"""What is between braces: understood however a program spells it, or refused with the place shown."""

import time

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.timing import in_time
from vestnik.mailings import rendering
from vestnik.mailings.models import LONGEST_TEXT, Message
from vestnik.mailings.rendering import CompiledMessage, Content, TemplateError, TooManyPlaceholders, UnknownPlaceholder

ZERO_WIDTH = "\u200b"
WORD_JOINER = "\u2060"
NO_BREAK = "\u00a0"
SOFT_HYPHEN = "\u00ad"
BYTE_ORDER_MARK = "\ufeff"


def said(
    html: str = "", text: str = "", full_name: str = "Bob", email: str = "bob@example.com", **attributes: str
) -> str:
    """The one text of the letter to such a client, as it would be saved and sent."""
    for template, is_html in ((html, True), (text, False)):
        rendering.check(template, html=is_html)
    compiled = CompiledMessage(
        Content(subject="News", html=html, text=text, sender="news@example.org", sender_name="", reply_to="")
    )
    preview = compiled.preview(address=email, full_name=full_name, attributes=attributes)
    return preview.html or preview.text


@pytest.mark.parametrize(
    "written",
    [
        "{{ Full_Name }}",
        "{{FULL_NAME}}",
        "{{ ｆｕｌｌ＿ｎａｍｅ }}",
        f"{{{{{NO_BREAK}full_name{NO_BREAK}}}}}",
        f"{{{{ full_{ZERO_WIDTH}name }}}}",
        f"{{{{ full{SOFT_HYPHEN}_name{BYTE_ORDER_MARK} }}}}",
        f"{{{WORD_JOINER}{{ full_name }}{ZERO_WIDTH}}}",
        "%7B%7Bfull_name%7D%7D",
        "%7b%7b%20full_name%20%7d%7d",
        "%257B%257Bfull_name%257D%257D",
        "{{%20full_name%20}}",
        "&#123;&#123; full_name &#125;&#125;",
        "&#x7B;&#x7b;full_name&#x7D;&#x7d;",
        "&lbrace;&lcub;full_name&rbrace;&rcub;",
        "&amp;#123;&amp;#123;full_name&amp;#125;&amp;#125;",
        "｛｛ full_name ｝｝",
        "{{ full_name &#125;}",
    ],
)
def test_braces_and_names_are_understood_however_a_program_spells_them(written: str) -> None:
    assert said(html=f"<p>{written}!</p>") == "<p>Bob!</p>"
    assert said(text=f"Dear {written}!") == "Dear Bob!"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("{{&nbsp;full_name&nbsp;}}", "Bob"),
        ("{{ full&shy;_name }}", "Bob"),
        ("{&#8203;{ full_name }&zwnj;}", "Bob"),
        ("{{ <b>full_name</b> }}", "<b>Bob</b>"),
        ("{{ <b>full_name }}</b>", "<b>Bob</b>"),
        ("<i>{{ full_name</i> }}", "<i>Bob</i>"),
        ('{{<span lang="en"><b> full_name </b></span>}}', '<span lang="en"><b>Bob</b></span>'),
        ("{{ full_name | default: &quot;friend&quot; }}", "Bob"),
    ],
)
def test_what_editors_of_html_put_between_the_braces_is_understood(written: str, shown: str) -> None:
    assert said(html=f"<p>{written}</p>") == f"<p>{shown}</p>"


@pytest.mark.parametrize(
    "written",
    [
        "{{full_name}",
        "{{ full_name }",
        "{full_name}}",
        "{ full_name }}",
        "{full_name}",
        "{ {full_name} }",
        "{ { email } }",
        "{{ email }",
        "{email}}",
        "{{ attributes.city }",
        "{attributes.city}}",
        "{{ attributes.Дата рождения }",
        "{{ Full_Name }",
        f"{{{{ full_name{ZERO_WIDTH} }}",
        "%7B%7B full_name %7D",
        "&#123; full_name &#125;&#125;",
        "｛｛ full_name ｝",
        "{{ full_name, welcome",
        "full_name }}, welcome",
        '{{ full_name | default: "friend" }',
        "Dear {{ name },",
        "{{имя},",
        "{{ fullname },",
        "{fullname}},",
        "{{city},",
        "{{Full Name}",
        "{Full Name}}",
        "{{{ name }",
        "{{ first name + surname }",
        "{ {fullname} }",
        "{ {fullname}}",
        "{{fullname} }",
        '{{ name | default: "x" }',
        '{name | default: "x"}}',
        "%7B%7Bname%7D",
        "｛｛name｝",
        "{{full_name}}}",
        "{{full_name}}}}",
        "{{full_name}} }",
        "{{full_name}} }}",
        "{{ email }&#125;}",
        "{{ attributes.{{ full_name }} }}",
        "{{ attributes.{{ full_name }}",
        "{{ attributes. }",
        "{{ {{ full_name }} }}",
        "{{ {{ full_name }}}}",
        "{{ Dear {{ full_name }} }",
        "{{ lone, {{ email }} }}",
    ],
)
def test_a_brace_that_is_missing_is_refused_with_the_words_around_it(written: str) -> None:
    for is_html in (False, True):
        with pytest.raises(TemplateError) as refused:
            rendering.check(f"Hello!\r\n\r\nDear {written} and friends", html=is_html)
        (told,) = rendering.sentences(refused.value.faults)
        assert "A brace is missing" in told
        assert "(line 3)" in told
        assert written.strip(ZERO_WIDTH)[:9] in told


def test_a_brace_that_tags_keep_apart_is_refused() -> None:
    with pytest.raises(TemplateError, match="A brace is missing"):
        rendering.check("<p>{<b>{</b>full_name}}</p>", html=True)


@pytest.mark.parametrize(
    "template",
    [
        "<style>p{color:red} @media print{p{color:red}} a{content:'{'}</style>",
        "<style>.email{width:1px} .full_name { margin: 0 }\n@media (max-width:1px) {.a{b:c} }</style>",
        "a {b} c, {1, 2}, \\frac{a}{b}, {% if x %}, ${price}, #{x}",
        "{{ , {{ email }}",
        "<style>@media print{p{width:{{ attributes.w }}}}</style>",
        "<style>p { width: {{ attributes.w }} } a { width: {{ attributes.w }} }</style> {{ email }}\n}",
        "<style>@media print { a{} p{width:{{attributes.w}}}} .a{}}</style>",
        "\\textbf{\\emph{word}} and {a{b c}}",
        "{ {{ full_name }} } and {{\na\nb }",
        "%7B%22a%22:%7B%22b%22:1%7D%7D",
        "{",
        "}}",
        "{ email: 1 }",
    ],
)
def test_other_braces_are_free(template: str) -> None:
    for is_html in (False, True):
        rendering.check(template, html=is_html)
        assert rendering.doubts(template, html=is_html) == []


@pytest.mark.parametrize("text", ["Dear {{ name", "Dear {{name, how are you?", "{{ lone, {{ email }}", "%7B%7Bcity"])
def test_two_braces_that_nothing_closes_are_doubted_and_sent(text: str) -> None:
    rendering.check(text)
    (doubt,) = rendering.doubts(text)
    (sentence,) = rendering.sentences([doubt])
    assert sentence.startswith("A brace is missing")
    assert doubt.around in sentence


def test_a_word_that_many_texts_have_in_single_braces_is_doubted_and_sent() -> None:
    assert said(text="Write to {email}") == "Write to {email}"
    (doubt,) = rendering.doubts("Write to {email}")
    assert rendering.sentences([doubt]) == [
        "“Write to {email}” is sent as it stands. A placeholder is written {{ email }}."
    ]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("{{ name }}", "Unknown placeholders: name. Known are full_name, email, unsubscribe_url and attributes.NAME."),
        ("%7B%7B name %7D%7D", "Unknown placeholders: name."),
        ("&#123;&#123;name&#125;&#125;", "Unknown placeholders: name."),
        ("{{ fullname }}", "Did you mean {{ full_name }}?"),
        ("{{ full name }}", "Did you mean {{ full_name }}?"),
        ("{{ emial }}", "Did you mean {{ email }}?"),
        ("{{ full_name | upcase }}", 'only a default may stand, as in {{ full_name | default: "friend" }}.'),
        ("{{ full_name | default }}", "only a default may stand"),
        ('{{ full_name | default: "a" | upcase: "b" }}', "only a default may stand"),
    ],
)
def test_other_names_and_filters_are_refused_in_a_sentence(written: str, sentence: str) -> None:
    with pytest.raises(UnknownPlaceholder) as refused:
        rendering.check(f"Dear {written},")
    (told,) = rendering.sentences(refused.value.faults)
    assert sentence in told
    assert f"“Dear {written},”" in told


@pytest.mark.parametrize("default", ["a{b}", "a}}b", "{{", "{", "}}", "{{ email }}", "a%7Bb"])
@pytest.mark.parametrize("quotes", ['""', "''", "“”", "«»"])
def test_braces_in_a_default_are_told_as_such(default: str, quotes: str) -> None:
    written = f"{{{{ full_name | default: {quotes[0]}{default}{quotes[1]} }}}}"
    for is_html in (False, True):
        with pytest.raises(TemplateError) as refused:
            rendering.check(f"Dear {written}, and {{{{ email }}}}", html=is_html)
        (told,) = rendering.sentences(refused.value.faults)
        assert "what stands in for an empty value may have no braces itself" in told


def test_an_unknown_name_is_told_before_its_default() -> None:
    with pytest.raises(UnknownPlaceholder, match=r"A letter has no \{\{ name \}\}"):
        rendering.check('{{ name | default: "a{b}" }}')


def test_tags_inside_of_a_name_are_refused() -> None:
    with pytest.raises(UnknownPlaceholder) as refused:
        rendering.check("<p>{{ full_<b>name</b> }}</p>", html=True)
    assert "take the formatting out" in rendering.sentences(refused.value.faults)[0]


def test_every_name_of_an_attribute_can_be_written() -> None:
    assert said(text="{{ attributes.Дата рождения }}", Дата_рождения="1 мая") == "1 мая"
    assert said(text="{{ attributes.2nd-phone }}", _2nd_phone="5") == "5"
    assert said(text="{{ Attributes.city }}", city="Tula") == "Tula"


def test_an_attribute_is_found_however_its_owner_spells_it() -> None:
    content = Content("{{ attributes.CITY }}", "", "{{ attributes.city }}", "news@example.org", "", "")
    preview = CompiledMessage(content, {"city": "City"}).preview(
        address="bob@example.com", full_name="", attributes={"City": "Tula"}
    )
    assert (preview.subject, preview.text) == ("Tula", "Tula")


# What stands in for an empty value


@pytest.mark.parametrize(
    "written",
    [
        '{{ full_name | default: "friend" }}',
        '{{full_name|default:"friend"}}',
        "{{ full_name | default: 'friend' }}",
        "{{ full_name | default: “friend” }}",
        "{{ full_name | default: «friend» }}",
        f'{{{{ full_name{NO_BREAK}|{NO_BREAK}default:{NO_BREAK}"friend" }}}}',
    ],
)
def test_a_default_stands_in_for_an_empty_value(written: str) -> None:
    assert said(text=f"Dear {written}", full_name="Bob") == "Dear Bob"
    for nothing in ("", "  ", NO_BREAK):
        assert said(text=f"Dear {written}", full_name=nothing) == "Dear friend"
        assert said(html=f"<p>{written}</p>", full_name=nothing) == "<p>friend</p>"


def test_a_default_is_escaped_as_a_value_is() -> None:
    written = '{{ full_name | default: "A & &lt;B&gt;" }}'
    assert said(html=f"<p>{written}</p>", full_name="") == "<p>A &amp; &lt;B&gt;</p>"
    assert said(html=f'<a href="https://x.example/?n={written}">x</a>', full_name="").startswith(
        '<a href="https://x.example/?n=A%20%26%20%3CB%3E"'
    )


def test_one_name_may_have_several_defaults() -> None:
    text = '{{ full_name | default: "you" }}, {{ full_name | default: "friend" }}, [{{ full_name }}]'
    assert said(text=text, full_name="") == "you, friend, []"
    assert said(text=text, full_name="Bob") == "Bob, Bob, [Bob]"


# Bounds


def test_more_placeholders_than_a_letter_needs_are_refused() -> None:
    rendering.check("{{ email }} " * 1000)
    with pytest.raises(TooManyPlaceholders, match="At most 1000 placeholders"):
        rendering.check("{{ email }} " * 1001)


def test_faults_are_told_beside_their_fields_and_not_without_end() -> None:
    message = Message(subject="{{ name }}", text="{{full_name} " * 500, html="{{ email }}" * 3000)
    with pytest.raises(ValidationError) as refused:
        message.clean()
    told = refused.value.message_dict
    assert told.keys() == {"subject", "text", "html"}
    assert len(told["text"]) == 5
    assert told["html"] == ["At most 1000 placeholders can be filled in."]


@pytest.mark.parametrize("written", ["%7B%7Bname%7D%7D ", "{{full_name} ", "{{ a {{ email }} }} ", "{email} "])
def test_an_old_message_of_nothing_but_faults_is_read_in_a_moment(written: str) -> None:
    began = time.process_time()
    CompiledMessage(Content("News", "", written * (LONGEST_TEXT // len(written)), "news@example.org", "", ""))
    in_time(time.process_time() - began, 3)


def test_behind_any_number_of_other_faults_a_name_that_no_letter_has_is_refused() -> None:
    with pytest.raises(UnknownPlaceholder):
        CompiledMessage(Content("News", "", "%7B%7Bname%7D%7D " * 500 + "{{ name }}", "news@example.org", "", ""))


def test_a_message_saved_before_its_faults_were_known_is_sent_as_it_was() -> None:
    content = Content("{{full_name}", "", "{full_name}} {{ email }}} %7B%7Bname%7D%7D", "news@example.org", "", "")
    preview = CompiledMessage(content).preview(address="bob@example.com", full_name="Bob", attributes={})
    assert (preview.subject, preview.text) == ("{{full_name}", "{full_name}} bob@example.com} %7B%7Bname%7D%7D")


@pytest.mark.parametrize(
    "repeated",
    [
        "{",
        "}",
        "{a",
        "{{a",
        "a{b}",
        "{{<",
        "{<b>",
        "{ <b",
        "%7B%7",
        "&#123",
        "{&shy;",
        "a }} ",
        "{{ full_name ",
        "{email}",
        "[a ",
        "[full_name]",
        "%a",
        "*|",
        "((",
        "<<a",
    ],
)
def test_no_text_keeps_a_page_waiting(repeated: str) -> None:
    text = (repeated * (LONGEST_TEXT // len(repeated)))[:LONGEST_TEXT]
    began = time.process_time()
    try:
        rendering.check(text, html=True)
    except ValueError as error:
        str(error)
    rendering.doubts(text, html=True)
    in_time(time.process_time() - began, 3)


SPELLED = st.sampled_from(
    ["{", "}", "{{", "}}", "%7B", "&#125;", "｛", " ", ZERO_WIDTH, "full_name", "email", "|", "<b>", '"']
)


@settings(max_examples=500, deadline=None)
@given(st.lists(SPELLED | st.text(max_size=3), max_size=12).map("".join), st.booleans())
def test_what_is_taken_is_sent_without_a_name_in_braces(template: str, is_html: bool) -> None:
    try:
        rendering.check(template, html=is_html)
    except TemplateError:
        return
    shown = said(html=template) if is_html else said(text=template)
    for wrong in ("{{full_name}", "{full_name}}", "{{email}", "{email}}", "{{ full_name }"):
        assert wrong not in shown

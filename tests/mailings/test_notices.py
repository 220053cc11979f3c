"""What a writer is told before anything is sent: of empty values, attributes that nobody has, and a missing text."""

import time
from random import Random
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from tests.timing import in_time
from vestnik.accounts.models import User
from vestnik.clients import attributes
from vestnik.clients import verbs as clients
from vestnik.clients.models import Client
from vestnik.mailings import missing_values, notices
from vestnik.mailings.models import Message
from vestnik.testing import factories

DEFAULT = 'What stands in for an empty value is written so: {{ full_name | default: "friend" }}.'


@pytest.fixture
def three(alice: User) -> list[Client]:
    """Anna of Tula, Boris, and somebody without a name."""
    return [
        clients.create_client(alice, "anna@example.org", full_name="Anna", attributes={"City": "Tula"}),
        clients.create_client(alice, "boris@example.org", full_name="Boris"),
        clients.create_client(alice, "nobody@example.org"),
    ]


def told(owner: User, text: str = "Hello", html: str = "", subject: str = "News") -> list[str]:
    return notices.of_clients(Message(subject=subject, text=text, html=html), owner.pk)


def test_empty_values_are_counted_among_the_owners_clients(alice: User, bob: User, three: list[Client]) -> None:
    clients.create_client(bob, "stranger@example.org")
    assert told(alice, "Dear {{ full_name }} of {{ attributes.city }}, {{ email }}") == [
        "2 of 3 clients have no attributes.city, and nothing stands in for it.",
        "1 of 3 clients have no full_name, and nothing stands in for it.",
        DEFAULT,
    ]


def test_a_default_is_enough_where_it_stands_everywhere(alice: User, three: list[Client]) -> None:
    with_default = 'Dear {{ full_name | default: "friend" }}'
    assert told(alice, with_default) == []
    assert told(alice, with_default, subject="For {{ full_name }}") != []


def test_nothing_is_told_where_nothing_is_missing(alice: User, three: list[Client]) -> None:
    three[2].delete()
    assert told(alice, "Dear {{ full_name }}, {{ email }}") == []


def test_an_attribute_that_nobody_has_is_told_with_the_one_that_was_meant(alice: User, three: list[Client]) -> None:
    assert told(alice, "{{ attributes.ciity }} {{ attributes.CITY }}") == [
        "None of your clients has the attribute ciity. Did you mean {{ attributes.City }}?",
        "2 of 3 clients have no attributes.CITY, and nothing stands in for it.",
        DEFAULT,
    ]
    assert told(alice, "{{ attributes.shoe_size }}") == ["None of your clients has the attribute shoe_size."]


def test_the_name_that_was_meant_is_found_in_a_moment_among_all_that_may_be(alice: User) -> None:
    random = Random(1)
    long = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz_", k=99)) + "x" for _ in range(1_000)]
    names = [*long, *(f"field_{number:04}" for number in range(1_000))]
    attributes.AttributeName.objects.bulk_create(
        attributes.AttributeName(owner=alice, key=attributes.key(name), name=name) for name in names
    )
    meant = {f"{long[500][:20]}q{long[500][21:]}": long[500], "feild_0815": "field_0815", "shoe_size": ""}
    began = time.process_time()
    found = notices.of_unknown(meant, alice.pk)
    in_time(time.process_time() - began, 0.2)
    for told, name in zip(found, meant.values(), strict=True):
        assert told.endswith(f"Did you mean {{{{ attributes.{name} }}}}?" if name else "the attribute shoe_size.")


def test_who_is_on_several_lists_is_counted_once_and_hides_nobody(alice: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(missing_values, "LOOKED_AT", 10)
    named = [clients.create_client(alice, f"a{number}@example.org", full_name="A") for number in range(6)]
    nameless = [clients.create_client(alice, f"b{number}@example.org") for number in range(20)]
    first, second = clients.create_list(alice, "A"), clients.create_list(alice, "B")
    clients.add_to_list(first, named)
    clients.add_to_list(second, [*named, *nameless])
    message = Message(subject="x", text="{{ full_name }}")
    for lists in ([first, second], [second, first], [second]):
        found = missing_values.of_audience(message, alice.pk, lists, [])
        assert (found.looked_at, found.complete) == (10, False)
        assert 4 <= found.empty["full_name"] <= 10
    assert missing_values.of_audience(message, alice.pk, [first], named) == missing_values.MissingValues(6, True, {})


def test_not_all_are_looked_at_where_lists_repeat_each_other_too_often(alice: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(missing_values, "LOOKED_AT", 4)
    monkeypatch.setattr(missing_values, "READ", 8)
    named = [clients.create_client(alice, f"a{number}@example.org", full_name="A") for number in range(3)]
    lists = [clients.create_list(alice, f"List {number}") for number in range(4)]
    for client_list in lists:
        clients.add_to_list(client_list, named)
    message = Message(subject="x", text="{{ full_name }}")
    assert missing_values.of_audience(message, alice.pk, lists[:2], []).complete
    assert missing_values.of_audience(message, alice.pk, lists, []) == missing_values.MissingValues(3, False, {})


def test_the_plan_counts_among_the_audience(alice: User, three: list[Client]) -> None:
    message = Message(subject="For {{ full_name }}", text="x")
    client_list = clients.create_list(alice, "Two")
    clients.add_to_list(client_list, three[:2])
    assert missing_values.of_audience(message, alice.pk, [client_list], []).empty == {}
    assert missing_values.of_audience(message, alice.pk, [client_list], three[1:]).empty == {"full_name": 1}
    assert missing_values.of_audience(message, alice.pk, [], three[2:]) == missing_values.MissingValues(
        1, True, {"full_name": 1}
    )
    assert missing_values.of_audience(message, alice.pk, [], []) == missing_values.MissingValues(0, True, {})


def test_no_more_clients_are_looked_at_than_a_form_can_wait_for(
    alice: User, three: list[Client], monkeypatch: Any, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(missing_values, "LOOKED_AT", 2)
    message = Message(subject="x", text="{{ full_name }} {{ attributes.a }} {{ attributes.b }}")
    with django_assert_max_num_queries(2):
        found = missing_values.of_owner(message, alice.pk)
    assert found == missing_values.MissingValues(2, False, {"attributes.a": 2, "attributes.b": 2})
    assert "Of the first 2 clients" in notices.of_gaps(found)[0]


def test_html_alone_and_doubtful_braces_are_told_whoever_gets_them() -> None:
    assert notices.of_texts(Message(subject="x", text="x", html="<p>x</p>")) == []
    alone, doubt = notices.of_texts(Message(subject="x", html="<p>{email}</p>"))
    assert "no plain text goes along" in alone
    assert "{email}" in doubt


AS_OTHERS_WRITE = (
    r"\{\{%s\}\}", "{(%s)}", "=7B=7B%s=7D=7D", r"\u007b\u007b%s\u007d\u007d", "[[%s]]", "%%%%%s%%%%", "*|%s|*", "${%s}",
    "<%%%s%%>", "[%s]", "%%%s%%", "#{%s}", "((%s))", "<<%s>>", "«%s»", "{%%%s%%}", "@@%s@@", "$(%s)", "<%%= %s %%>",
    r"\x7b\x7b%s\x7d\x7d", "[[ %s ]]", "{[%s]}",
)  # fmt: skip
REFUSED = {
    "${%s}": ("full_name", "attributes.city"),
    "#{%s}": ("full_name", "attributes.city"),
    r"\{\{%s\}\}": ("attributes.city",),
}
"""What single braces may not stand around."""


@pytest.mark.parametrize("written", AS_OTHERS_WRITE)
def test_a_placeholder_of_another_program_is_told_to_go_out_as_it_stands(alice: User, written: str) -> None:
    clients.create_client(alice, "anna@example.org", attributes={"City": "Tula", "Дата_рождения": "1 мая"})
    named = {
        "full_name": "full_name",
        "EMAIL": "email",
        "city": "attributes.City",
        "attributes.city": "attributes.city",
        "дата рождения": "attributes.Дата_рождения",
    }
    for name, meant in named.items():
        for html in (False, True):
            text = f"Dear {written % name},\nhello"
            message = Message(owner=alice, subject="x", text="x" if html else text, html=text if html else "")
            if name in REFUSED.get(written, ()):
                with pytest.raises(ValidationError, match="A brace is missing"):
                    message.clean()
                continue
            message.clean()
            (told,) = notices.of_texts(message)
            assert told.endswith(f"is sent as it stands. A placeholder is written {{{{ {meant} }}}}.")
    assert notices.of_texts(Message(owner=alice, subject="x", text=f"Dear {written % 'price'}")) == []


def test_what_only_looks_like_a_placeholder_of_another_program_is_free(alice: User) -> None:
    clients.create_client(alice, "anna@example.org", attributes={"p": "1", "title": "Dr"})
    html = "<title>x</title><style>a[href] { color: red }</style><p>5 % {{ full_name }} [{{ email }}] %</p>"
    assert notices.of_texts(Message(owner=alice, subject="x", text="A [note] (1), 5% of 10%", html=html)) == []


def test_single_braces_around_an_attribute_are_told(alice: User) -> None:
    clients.create_client(alice, "anna@example.org", attributes={"City": "Tula"})
    (told,) = notices.of_texts(Message(owner=alice, subject="x", text="From {city} and {street}"))
    assert "{{ attributes.City }}" in told
    assert len(notices.of_texts(Message(owner=alice, subject="x", text="Write to { email }"))) == 1


def test_attributes_are_looked_up_once_for_all_texts(alice: User, django_assert_num_queries: Any) -> None:
    message = Message(owner=alice, subject="[a]", text="[b] *|FNAME|*", html="<p>[c] [d]</p>")
    with django_assert_num_queries(1):
        assert "{{ full_name }}" in notices.of_texts(message)[0]


def test_a_mailing_to_nobody_yet_is_told_nothing(alice: User) -> None:
    assert told(alice, "Dear {{ full_name }}") == []
    assert factories.make_message(alice).placeholders() == {"full_name"}

"""Attributes of clients: one spelling for each of an owner's, and bounds for all of them."""

import io

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from vestnik.accounts.models import User
from vestnik.clients import attributes, verbs
from vestnik.clients.attributes import key, named, spellings
from vestnik.clients.importing import import_clients
from vestnik.clients.models import AttributeName, Client


def imported(owner, text):
    refused = []
    report = import_clients(owner, io.BytesIO(text.encode()), on_refused=lambda *row: refused.append(row))
    return report, refused


def attributes_of(owner):
    return dict(Client.objects.filter(owner=owner).values_list("email", "attributes"))


# Names


@settings(max_examples=500, deadline=None)
@given(text=st.text(max_size=20) | st.text(min_size=90, max_size=120))
def test_whatever_people_write_names_an_attribute_that_a_message_can_name(text):
    name = named(text)
    assert name == named(name)
    assert key(name) == key(text)
    assert not name or (name.isidentifier() and len(name) <= 100)


@pytest.mark.parametrize(
    "spelling", ["Größe", "größe", "GRÖSSE", "Gro\u0308ße", "Ｇröße", "Grö\u00adße", " größe ", "\ufeffGröße"]
)
def test_spellings_of_one_name_have_one_key(spelling):
    assert key(spelling) == key("Größe")


def test_blanks_dashes_and_underscores_are_one():
    assert key("Date of birth") == key("date-of-birth") == key("Date_of_Birth")


# One spelling


def test_the_first_spelling_stays_whichever_way_others_come(alice, bob):
    verbs.create_client(alice, "a@example.org", attributes={"City": "Oslo"})
    imported(alice, "email,city,Shoe Size\nb@example.org,Rome,39\n")
    imported(alice, "email,CITY,shoe-size\nb@example.org,,40\n")
    verbs.create_client(alice, "c@example.org", attributes={"ＣＩＴＹ": "Paris"})
    imported(bob, "email,city\nb@example.org,Omsk\n")
    assert attributes_of(alice) == {
        "a@example.org": {"City": "Oslo"},
        "b@example.org": {"City": "Rome", "Shoe_Size": "40"},
        "c@example.org": {"City": "Paris"},
    }
    assert attributes_of(bob) == {"b@example.org": {"city": "Omsk"}}
    assert spellings(alice.pk) == {"city": "City", "shoe_size": "Shoe_Size"}


def test_two_spellings_at_once_are_refused(alice):
    with pytest.raises(ValidationError) as refusal:
        verbs.create_client(alice, "a@example.org", attributes={"City": "Oslo", "city": "Rome"})
    assert list(refusal.value.message_dict) == ["attributes"]


def test_what_another_spelled_while_the_file_was_read_is_spelled_so(alice):
    text = "email,city\na@example.org,Oslo\nb@example.org,\n"

    def meanwhile(*_header):
        attributes.learn(alice.pk, ["CITY"])

    import_clients(alice, io.BytesIO(text.encode()), on_header=meanwhile)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE clients_attributename SET name = 'cItY'")
    import_clients(alice, io.BytesIO(text.encode().replace(b"Oslo", b"Rome")))
    assert attributes_of(alice)["a@example.org"] == {"CITY": "Oslo", "cItY": "Rome"}


def test_columns_that_are_empty_all_the_way_down_teach_nothing(alice):
    imported(alice, "email,city,size\na@example.org,Oslo,\n")
    assert spellings(alice.pk) == {"city": "city"}


def test_texts_are_kept_without_blanks_around_them_and_empty_ones_not_at_all(alice):
    client = verbs.create_client(
        alice, "a@example.org", full_name=" Ann ", comment="\n x \n", attributes={"city": " Oslo\n", "size": " "}
    )
    client.refresh_from_db()
    assert (client.full_name, client.comment, client.attributes) == ("Ann", "x", {"city": "Oslo"})


# Bounds


@pytest.mark.parametrize(
    ("many", "sentence"),
    [
        ({f"n{number}": "x" for number in range(201)}, "at most 200"),
        ({"n" * 101: "x"}, "at most 100"),
        ({"a b": "x"}, "cannot name"),
        ({"note": "x" * 2001}, "2001 characters; at most 2000"),
        ({f"n{number}": "я" * 1000 for number in range(17)}, "at most 32768"),
        ({"note": 5}, "not a text"),
        ({"note": "\0"}, "NUL"),
        ([], "an object"),
    ],
)
def test_what_is_too_much_is_refused(alice, many, sentence):
    with pytest.raises(ValidationError, match=sentence):
        attributes.validate(many)


def test_a_row_that_is_too_much_is_refused_alone(alice):
    report, refused = imported(alice, f"email,remark\na@example.org,{'x' * 2001}\nb@example.org,{'x' * 2000}\n")
    assert (report.created, report.refused) == (1, 1)
    assert "“remark” has 2001 characters" in refused[0][2]


def test_what_is_too_much_together_with_what_is_there_is_refused_and_leaves_the_client_as_it_was(alice):
    big = {f"n{number}": "x" * 1990 for number in range(16)}
    verbs.create_client(alice, "a@example.org", attributes=big)
    report, refused = imported(
        alice, f"email,more,name\na@example.org,{'x' * 1500},Ann\nb@example.org,x,B\nA@example.org,,Anna\n"
    )
    assert (report.created, report.updated, report.refused, report.repeated) == (1, 0, 2, 0)
    assert [(line, "32 kB" in reason) for line, _cells, reason in refused] == [(2, True), (4, True)]
    client = Client.objects.get(email="a@example.org")
    assert (client.full_name, client.attributes) == ("", big)


def test_what_is_too_much_in_rows_of_one_address_together_is_refused(alice):
    header = ",".join(f"n{number}" for number in range(40))
    rows = "".join("a@example.org," + "," * number + "x" * 1900 + "," * (39 - number) + "\n" for number in range(40))
    report, refused = imported(alice, f"email,{header}\n{rows}b@example.org{',' * 40}\n")
    assert (report.created, report.refused, report.repeated) == (1, 40, 0)
    assert len(refused) == 40


def test_an_owner_has_so_many_names_and_those_without_a_client_make_room(alice, monkeypatch):
    monkeypatch.setattr(attributes, "MOST_NAMES", 3)
    imported(alice, "email,a,b,c\na@example.org,1,2,3\n")
    with pytest.raises(ValidationError, match="more than 3 different attributes"):
        imported(alice, "email,d\na@example.org,1\n")
    Client.objects.all().delete()
    imported(alice, "email,d\na@example.org,1\n")
    assert spellings(alice.pk) == {"d": "d"}


def test_names_that_are_asked_for_are_not_forgotten(alice, monkeypatch):
    monkeypatch.setattr(attributes, "MOST_NAMES", 3)
    imported(alice, "email,a,b\na@example.org,1,2\n")
    client = Client.objects.get(email="a@example.org")
    client.attributes = {"a": "1"}
    verbs.save_client(client)
    imported(alice, "email,c\na@example.org,3\n")
    other = verbs.create_client(alice, "b@example.org", attributes={"B": "known and unused", "a": "used"})
    assert other.attributes == {"b": "known and unused", "a": "used"}
    client.attributes = {}
    verbs.save_client(client)  # now c is the one that nobody has
    last = verbs.create_client(alice, "c@example.org", attributes={"d": "new", "B": "x"})
    assert last.attributes == {"d": "new", "b": "x"}
    assert set(spellings(alice.pk)) == {"a", "b", "d"}


def test_forms_have_unused_names_forgotten_now_and_then_only(alice, monkeypatch, valkey):
    monkeypatch.setattr(attributes, "MOST_NAMES", 1)
    verbs.create_client(alice, "a@example.org", attributes={"a": "1"})
    times = []
    forget = attributes._forget_unused
    monkeypatch.setattr(
        attributes, "_forget_unused", lambda *args, **kwargs: (times.append(1), forget(*args, **kwargs))
    )
    for number in range(3):
        with pytest.raises(ValidationError, match="more than 1 different"):
            verbs.create_client(alice, "b@example.org", attributes={f"n{number}": "1"})
    assert len(times) == 1


HALVES = ["\ud800", "a\udfff", "\udc80b", "\ud83d \ude00"]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("where", ["value", "name", "full_name", "comment", "email"])
def test_half_a_character_is_refused_in_a_sentence_that_does_not_repeat_it(alice, half, where):
    details = {"full_name": {"full_name": half}, "comment": {"comment": half}}.get(where, {})
    details |= {"value": {"attributes": {"a": half}}, "name": {"attributes": {half: "x"}}}.get(where, {})
    with pytest.raises(ValidationError) as refusal:
        verbs.create_client(alice, f"a{half}@example.org" if where == "email" else "a@example.org", **details)
    said = " ".join(refusal.value.messages)
    said.encode()
    assert "half a character" in said or where == "email"
    assert not Client.objects.exists()


@pytest.mark.parametrize("half", HALVES)
def test_half_a_character_names_no_list_and_finds_nobody(alice, half):
    with pytest.raises(ValidationError, match="half a character"):
        verbs.create_list(alice, half)
    assert not User.objects.filter(email=half).exists()
    assert not Client.objects.filter(email=f"{half}@example.org").exists()


def test_names_go_with_their_owner(alice):
    imported(alice, "email,a\na@example.org,1\n")
    alice.delete()
    assert not AttributeName.objects.exists()

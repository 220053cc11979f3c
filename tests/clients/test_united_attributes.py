"""The migration that gives each attribute of an owner's clients one spelling: of what versions before had stored."""

from importlib import import_module

from vestnik.clients.attributes import spellings
from vestnik.clients.models import Client

unite = import_module("vestnik.clients.migrations.0004_united_attributes").unite


def stored(owner, *attributes):
    return [
        Client.objects.create(owner=owner, email=f"c{number}@example.org", attributes=own)
        for number, own in enumerate(attributes)
    ]


def found(owner):
    return list(Client.objects.filter(owner=owner).order_by("pk").values_list("attributes", flat=True))


def test_the_first_clients_spelling_is_everybodys(alice, bob):
    stored(alice, {"City": "Oslo"}, {"city": "Rome", "size": "M"}, {"CITY": "Paris"})
    stored(bob, {"city": "Omsk"})
    unite()
    assert found(alice) == [{"City": "Oslo"}, {"City": "Rome", "size": "M"}, {"City": "Paris"}]
    assert found(bob) == [{"city": "Omsk"}]
    assert spellings(alice.pk) == {"city": "City", "size": "size"}
    assert spellings(bob.pk) == {"city": "city"}


def test_who_has_two_spellings_keeps_both_texts(alice):
    stored(alice, {"City": "Oslo", "city": "Rome"}, {"City": "Oslo", "city": "Oslo"}, {"city_2": "x", "city": "y"})
    unite()
    assert found(alice) == [{"City": "Oslo", "City_3": "Rome"}, {"City": "Oslo"}, {"City": "y", "city_2": "x"}]
    assert spellings(alice.pk).keys() >= {"city", "city_2", "city_3"}


def test_decomposed_names_are_composed(alice):
    stored(alice, {"Gro\u0308ße": "L"})
    unite()
    assert found(alice) == [{"Größe": "L"}]


def test_twice_is_once(alice):
    stored(alice, {"City": "Oslo"}, {"city": "Rome"})
    unite()
    before = found(alice)
    unite()
    assert found(alice) == before


def test_what_cannot_be_named_is_left_as_it_is(alice):
    stored(alice, {"": "x", "n" * 300: "y", "a b": "z"})
    unite()
    assert sum(len(own) for own in found(alice)) == 3

import pytest
from django.core.exceptions import ValidationError

from vestnik import access
from vestnik.clients import verbs
from vestnik.clients.models import Client


def test_an_address_is_stored_in_its_normal_form(alice):
    client = verbs.create_client(alice, "Ivan@Пример.РФ", full_name="Иван")
    client.refresh_from_db()
    assert client.email == "ivan@xn--e1afmkfd.xn--p1ai"


def test_one_address_is_one_client_of_an_owner(alice, bob):
    verbs.create_client(alice, "ivan@example.org")
    verbs.create_client(bob, "ivan@example.org")
    with pytest.raises(ValidationError, match="already"):
        verbs.create_client(alice, "IVAN@example.org")


@pytest.mark.parametrize("name", ["Ivan\r\nBcc: all@example.org", "Ivan\x00", "I" * 201])
def test_a_name_that_could_break_a_header_is_refused(alice, name):
    with pytest.raises(ValidationError) as refusal:
        verbs.create_client(alice, "ivan@example.org", full_name=name)
    assert "full_name" in refusal.value.message_dict


def test_a_client_is_visible_to_its_owner_alone(alice, bob, maria):
    client = verbs.create_client(alice, "ivan@example.org")
    assert list(Client.objects.visible_to(alice)) == [client]
    assert not Client.objects.visible_to(bob)
    assert access.may(alice, "change", client)
    assert not access.may(bob, "view", client)


def test_a_list_is_granted_to_its_owner(alice, bob):
    client_list = verbs.create_list(alice, "Friends")
    assert access.may(alice, "delete", client_list)
    assert not access.may(bob, "view", client_list)
    assert list(type(client_list).objects.visible_to(alice)) == [client_list]


def test_somebody_elses_client_is_not_put_on_a_list(alice, bob):
    client_list = verbs.create_list(alice, "Friends")
    verbs.add_to_list(client_list, [verbs.create_client(bob, "ivan@example.org")])
    assert not client_list.clients.exists()

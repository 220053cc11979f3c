"""Clients and the lists they are on: what is given is what holds afterwards, whoever else is at it."""

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from tests.elsewhere import elsewhere
from vestnik import client_deletion
from vestnik.clients import verbs
from vestnik.clients.models import Client, ClientList, Membership
from vestnik.testing import factories


def test_a_client_is_on_the_lists_that_are_given_and_on_no_others(alice, bob):
    friends, customers = verbs.create_list(alice, "Friends"), verbs.create_list(alice, "Customers")
    client = verbs.create_client(alice, "ann@example.org", [friends])
    verbs.save_client(client)
    assert list(client.lists.all()) == [friends]
    verbs.save_client(client, [customers, verbs.create_list(bob, "Foes")])
    assert list(client.lists.all()) == [customers]
    verbs.save_client(client, [])
    assert not client.lists.exists()


def test_who_is_put_on_a_list_or_taken_off_is_counted_once(alice):
    friends = verbs.create_list(alice, "Friends")
    clients = factories.make_clients(alice, 3)
    assert verbs.add_to_list(friends, clients[:1]) == 1
    assert verbs.add_to_list(friends, clients + clients) == 2
    assert verbs.remove_from_list(friends, clients[1:]) == 2
    assert verbs.remove_from_list(friends, clients[1:]) == 0
    assert list(friends.clients.all()) == clients[:1]


def test_any_number_of_clients_takes_the_same_statements(alice, django_assert_num_queries):
    friends = verbs.create_list(alice, "Friends")
    clients = factories.make_clients(alice, 1500)
    with django_assert_num_queries(1):
        assert verbs.add_to_list(friends, clients) == 1500
    with django_assert_num_queries(2):
        assert verbs.add_addresses_to_list(friends, [client.email for client in clients]) == 0
    with django_assert_num_queries(1):
        assert verbs.remove_from_list(friends, clients) == 1500


def test_a_list_that_is_deleted_leaves_clients_and_other_lists(alice):
    friends, customers = factories.make_list(alice, 2), factories.make_list(alice, 1)
    verbs.delete_list(friends)
    assert list(ClientList.objects.all()) == [customers]
    assert (Client.objects.count(), Membership.objects.count()) == (3, 1)


@pytest.mark.django_db(transaction=True)
def test_the_second_of_two_who_add_an_address_at_once_is_told_that_it_is_there(alice):
    with transaction.atomic():
        verbs.create_client(alice, "ann@example.org")
        second = elsewhere(lambda: verbs.create_client(alice, "ann@example.org"))
    with pytest.raises(ValidationError, match="already"):
        second.result(10)


@pytest.mark.django_db(transaction=True)
def test_a_client_who_is_being_deleted_is_put_on_no_list(alice):
    friends = verbs.create_list(alice, "Friends")
    ann, bob = factories.make_clients(alice, 2)
    with transaction.atomic():
        client_deletion.delete_clients(alice, [ann])
        adding = elsewhere(lambda: verbs.add_to_list(friends, [ann, bob]))
    assert adding.result(10) == 1
    assert list(friends.clients.all()) == [bob]

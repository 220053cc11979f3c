"""How many a mailing would go to, is said to go to, and goes to: one number, each client once."""

import re

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dispatcher.runs import dry_run, launching
from vestnik.clients.models import ClientList, Membership
from vestnik.mailings import audience
from vestnik.mailings.ledger.models import Delivery
from vestnik.testing.factories import make_clients, make_list, make_mailing, make_message

CLIENTS, LISTS = 8, 4

some_clients = st.sets(st.integers(0, CLIENTS - 1))


@pytest.fixture
def cast(alice, bob, valkey):
    """Alice's lists, clients and message; and Bob's, which are nobody else's business."""
    make_list(bob, 2)
    return [make_list(alice) for _ in range(LISTS)], make_clients(alice, CLIENTS), make_message(alice)


def told(mailing):
    """How many letters the dry run tells of, and how many it counts."""
    lines = []
    dry_run.tell([mailing], now=True, write=lines.append)
    counted = re.match(r"\d+", lines[-1])
    return sum(line.startswith("  ") for line in lines), int(counted[0]) if counted else 0


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.lists(some_clients, min_size=LISTS, max_size=LISTS),
    chosen=st.sets(st.integers(0, LISTS - 1)),
    single=some_clients,
)
@example(members=[set(range(7))] * LISTS, chosen={0, 1, 2}, single=set())
@example(members=[set()] * LISTS, chosen=set(), single={1})
@example(members=[set()] * LISTS, chosen={0}, single=set())
def test_the_plan_the_page_the_dry_run_and_the_launch_count_the_same_clients(alice, cast, members, chosen, single):
    lists, clients, message = cast
    expected = set.union(single, *(members[number] for number in chosen))
    with transaction.atomic():
        Membership.objects.bulk_create(
            Membership(client_list=client_list, client=clients[number])
            for client_list, on_it in zip(lists, members, strict=True)
            for number in on_it
        )
        named = [lists[number] for number in sorted(chosen)]
        alone = [clients[number] for number in sorted(single)]
        counts = {
            "plan": audience.would_be(named, alone),
            "plan of a form": audience.would_be(ClientList.objects.filter(pk__in=[each.pk for each in named]), alone),
        }
        mailing = make_mailing(alice, message=message, lists=named, clients=alone)
        counts["page"] = audience.size(mailing)
        counts["launch's clients"] = audience.of(mailing).count()
        counts["dry run"], counts["dry run's sum"] = told(mailing)
        launching.launch(mailing.pk)
        letters = list(Delivery.objects.filter(run__mailing=mailing).values_list("client_id", flat=True))
        counts["launch"] = len(letters)
        transaction.set_rollback(True)
    assert set(counts.values()) == {len(expected)}, counts
    assert set(letters) == {clients[number].pk for number in expected}


def test_three_lists_of_the_same_seven_are_seven_clients(alice):
    members = make_clients(alice, 7)
    lists = [make_list(alice) for _ in range(3)]
    Membership.objects.bulk_create(Membership(client_list=each, client=client) for each in lists for client in members)

    assert audience.would_be(lists, []) == 7
    assert audience.would_be(ClientList.objects.filter(owner=alice), []) == 7
    assert audience.would_be([], members[:2]) == 2
    assert audience.would_be([], []) == 0
    assert audience.would_be(ClientList.objects.none(), []) == 0

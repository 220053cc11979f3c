"""How many a mailing would go to, is said to go to, and goes to: one number, each client once."""

import re
from collections import Counter

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dispatcher.runs import dry_run, launching
from tests import permits
from vestnik.clients.models import ClientList, Membership
from vestnik.clients.suppressions import SuppressionReason, suppress
from vestnik.mailings import audience
from vestnik.mailings.ledger.models import Delivery, MailingKind, Run
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
    stopped=st.dictionaries(st.integers(0, CLIENTS - 1), st.sampled_from(SuppressionReason), max_size=4),
    by_installation=st.sets(st.integers(0, CLIENTS - 1), max_size=2),
    kind=st.sampled_from(MailingKind),
)
@example(
    members=[set(range(7))] * LISTS,
    chosen={0, 1, 2},
    single=set(),
    stopped={1: SuppressionReason.UNSUBSCRIBED, 7: SuppressionReason.BOUNCED},
    by_installation={1, 2},
    kind=MailingKind.SERVICE,
)
@example(members=[set()] * LISTS, chosen=set(), single={1}, stopped={}, by_installation=set(), kind=MailingKind.MAILING)
@example(members=[set()] * LISTS, chosen={0}, single=set(), stopped={}, by_installation=set(), kind=MailingKind.MAILING)
def test_the_plan_the_page_the_dry_run_and_the_launch_count_the_same_clients(
    alice, bob, cast, members, chosen, single, stopped, by_installation, kind
):
    lists, clients, message = cast
    permitted = permits.of_service_letters(alice)
    named_by_anybody = set.union(single, *(members[number] for number in chosen))
    passing = {SuppressionReason.UNSUBSCRIBED, SuppressionReason.IMPORTED} if kind == MailingKind.SERVICE else set()
    left_out = dict.fromkeys(by_installation, SuppressionReason.BOUNCED)
    weak = {SuppressionReason.UNSUBSCRIBED, SuppressionReason.IMPORTED}  # the strictest reason is told
    left_out |= {
        number: reason
        for number, reason in stopped.items()
        if reason not in passing and not (reason in weak and number in left_out)
    }
    left_out = {number: reason for number, reason in left_out.items() if number in named_by_anybody}
    expected = named_by_anybody - left_out.keys()
    reasons = dict(Counter(reason.value for reason in left_out.values()))
    with transaction.atomic():
        for number, reason in stopped.items():
            suppress(alice.pk, [clients[number].email], reason)
        suppress(None, [clients[number].email for number in by_installation], SuppressionReason.BOUNCED)
        suppress(
            bob.pk, [client.email for client in clients], SuppressionReason.UNSUBSCRIBED
        )  # none of Alice's business
        Membership.objects.bulk_create(
            Membership(client_list=client_list, client=clients[number])
            for client_list, on_it in zip(lists, members, strict=True)
            for number in on_it
        )
        named = [lists[number] for number in sorted(chosen)]
        alone = [clients[number] for number in sorted(single)]
        mailing = make_mailing(permitted, message=message, lists=named, clients=alone, kind=kind)
        same = ClientList.objects.filter(pk__in=[each.pk for each in named])
        said = {
            "plan": audience.would_be(alice.pk, named, alone, kind),
            "plan of a form": audience.would_be(alice.pk, same, alone, kind),
            "page": audience.count(mailing),
        }
        counts = {place: each.to for place, each in said.items()}
        why = [each.left_out for each in said.values()]
        counts["launch's clients"] = audience.of(mailing).count()
        counts["dry run"], counts["dry run's sum"] = told(mailing)
        launching.launch(mailing.pk)
        letters = list(Delivery.objects.filter(run__mailing=mailing).values_list("client_id", flat=True))
        run = Run.objects.get(mailing=mailing)
        counts["launch"], counts["run"] = len(letters), run.total
        why.append(run.left_out)
        transaction.set_rollback(True)
    assert set(counts.values()) == {len(expected)}, counts
    assert set(letters) == {clients[number].pk for number in expected}
    assert all(each == reasons for each in why), (why, reasons)


def test_three_lists_of_the_same_seven_are_seven_clients(alice):
    members = make_clients(alice, 7)
    lists = [make_list(alice) for _ in range(3)]
    Membership.objects.bulk_create(Membership(client_list=each, client=client) for each in lists for client in members)

    assert audience.would_be(alice.pk, lists, []).to == 7
    assert audience.would_be(alice.pk, ClientList.objects.filter(owner=alice), []).to == 7
    assert audience.would_be(alice.pk, [], members[:2]).to == 2
    assert audience.would_be(alice.pk, [], []).to == 0
    assert audience.would_be(alice.pk, ClientList.objects.none(), []).to == 0

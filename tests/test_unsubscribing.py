"""Stopping letters: all of one sender's, or a list's; obeyed at once, outliving clients, undone by the person alone."""

import io

import pytest
from django.core.exceptions import ValidationError

from dispatcher.runs import launching
from tests import permits
from vestnik import client_deletion, unsubscribing
from vestnik.clients import importing, suppressions, verbs
from vestnik.clients.models import Client, Suppression
from vestnik.clients.suppressions import SuppressionReason
from vestnik.mailings import audience, unsubscribe_links
from vestnik.mailings import verbs as mailings
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Delivery, MailingKind
from vestnik.testing.factories import make_clients, make_list, make_mailing

pytestmark = pytest.mark.usefixtures("valkey")


def launched(alice, number=3, **settings):
    """A run under way of a mailing of Alice's; and what its first letter's reader can do."""
    mailing = make_mailing(alice, number, **settings)
    (run,) = launching.launch(mailing.pk)
    return run, reader_of(run.deliveries.order_by("client_id")[0])


def reader_of(delivery):
    token = unsubscribe_links.signer()(delivery.pk).rpartition("/")[2]
    found = unsubscribing.subscription(token)
    assert found is not None
    return found


def states(run):
    return {letter.address: (letter.state, letter.reason) for letter in run.deliveries.all()}


def test_who_stops_all_has_queued_letters_cancelled_with_that_reason_and_the_others_go_on(alice):
    run, reader = launched(alice, 3)
    unsubscribing.stop_all(reader)

    found = states(run)
    assert found.pop(reader.address) == ("cancelled", "unsubscribed")
    assert set(found.values()) == {("queued", "")}
    assert runs.totals(run.pk)["cancelled"] == 1
    assert unsubscribing.stopped_because(reader)


def test_who_stopped_is_left_out_of_the_next_run_and_counted(alice):
    run, reader = launched(alice, 3)
    unsubscribing.stop_all(reader)
    mailing = make_mailing(alice, lists=[run.mailing.lists.get()])
    assert audience.count(mailing) == audience.Audience(2, {"unsubscribed": 1})

    (second,) = launching.launch(mailing.pk)

    assert (second.total, second.left_out) == (2, {"unsubscribed": 1})
    assert reader.address not in states(second)


def test_a_run_of_which_everybody_is_left_out_is_over_and_says_so(alice):
    run, reader = launched(alice, 1)
    unsubscribing.stop_all(reader)
    (second,) = launching.launch(make_mailing(alice, lists=[run.mailing.lists.get()]).pk)
    assert (second.state, second.total, second.reason) == (
        "finished",
        0,
        "everybody in the audience is on the suppression list",
    )


def test_another_owners_letters_to_the_same_address_go_on(alice, bob):
    _run, reader = launched(alice)
    theirs = make_mailing(bob, clients=[verbs.create_client(bob, reader.address)], lists=[])
    (his,) = launching.launch(theirs.pk)
    unsubscribing.stop_all(reader)
    assert states(his) == {reader.address: ("queued", "")}


def test_service_letters_go_to_who_unsubscribed_and_not_to_whom_letters_came_back(alice):
    run, reader = launched(alice, 2)
    invoices = make_mailing(
        permits.of_service_letters(alice), lists=[run.mailing.lists.get()], kind=MailingKind.SERVICE
    )
    (service,) = launching.launch(invoices.pk)
    other = run.deliveries.order_by("client_id")[1].address
    unsubscribing.stop_all(reader)
    assert set(states(service).values()) == {("queued", "")}

    suppressions.suppress(alice.pk, [other], SuppressionReason.BOUNCED)
    assert audience.count(invoices) == audience.Audience(1, {"bounced": 1})


def test_neither_a_new_client_nor_a_file_nor_a_list_revives_an_address(alice):
    run, reader = launched(alice, 2)
    client_list = run.mailing.lists.get()
    unsubscribing.stop_all(reader)
    client_deletion.delete_clients(alice, Client.objects.filter(email=reader.address))
    file = io.BytesIO(f"email\n{reader.address}\n".encode())
    importing.import_clients(alice, file, lambda: client_list)
    assert Client.objects.filter(owner=alice, email=reader.address).exists()

    mailing = make_mailing(alice, lists=[client_list])
    assert audience.count(mailing) == audience.Audience(1, {"unsubscribed": 1})
    verbs.create_client(alice, "new@example.org")
    assert unsubscribing.stopped_because(reader)


def test_who_leaves_a_list_still_gets_what_another_list_brings(alice):
    news = make_list(alice, 1, "News")
    offers = make_list(alice, name="Offers")
    (client,) = news.clients.all()
    verbs.add_to_list(offers, [client])
    _run, reader = launched(alice, lists=[news, offers])
    assert [(choice.name, choice.left) for choice in unsubscribing.choices(reader)] == [
        ("News", False),
        ("Offers", False),
    ]

    unsubscribing.leave(reader, {news.pk})

    assert [(choice.name, choice.left) for choice in unsubscribing.choices(reader)] == [
        ("News", True),
        ("Offers", False),
    ]
    assert not unsubscribing.stopped_because(reader)
    assert audience.count(make_mailing(alice, lists=[news])) == audience.Audience(0, {"unsubscribed": 1})
    assert audience.count(make_mailing(alice, lists=[news, offers])) == audience.Audience(1)
    client_deletion.delete_clients(alice, [client])
    importing.import_clients(alice, io.BytesIO(f"email\n{client.email}\n".encode()), lambda: news)
    left_out = audience.Audience(0, {"unsubscribed": 1})
    assert audience.count(make_mailing(alice, lists=[news])) == left_out, "nobody but the person comes back to it"
    another = make_clients(alice, 1, news)[0]
    Client.objects.filter(email=client.email).delete()
    another.email = client.email
    verbs.save_client(another)
    assert audience.count(make_mailing(alice, lists=[news])) == left_out, "nor who gets their address later"


def test_nobody_leaves_a_list_that_their_letter_is_not_of(alice, bob):
    other = make_list(alice, 1, "Other")
    theirs = make_list(bob, 1)
    _run, reader = launched(alice)
    assert not unsubscribing.leave(reader, {other.pk, theirs.pk})
    assert not Suppression.objects.exists()
    assert other.clients.count() == theirs.clients.count() == 1


def test_the_person_takes_all_of_it_back(alice):
    run, reader = launched(alice, 1)
    client_list = run.mailing.lists.get()
    unsubscribing.leave(reader, {client_list.pk})
    unsubscribing.stop_all(reader)
    unsubscribing.take_back(reader)

    assert not unsubscribing.stopped_because(reader)
    assert client_list.clients.count() == 1
    assert audience.count(make_mailing(alice, lists=[client_list])) == audience.Audience(1)
    assert Suppression.objects.filter(lifted_at__isnull=False).count() == 2, "it stays on record"


def test_stopping_and_taking_back_many_times_keeps_one_row(alice):
    _run, reader = launched(alice)
    for _ in range(3):
        unsubscribing.stop_all(reader)
        unsubscribing.stop_all(reader)
        unsubscribing.take_back(reader)
    assert Suppression.objects.count() == 1


def test_an_owner_lifts_what_others_did_but_not_what_the_person_did(alice):
    _run, reader = launched(alice)
    suppressions.suppress(alice.pk, [reader.address, "hand@example.org"], SuppressionReason.BY_HAND)
    unsubscribing.stop_all(reader)
    suppressions.suppress(alice.pk, [reader.address], SuppressionReason.BY_HAND)

    with pytest.raises(ValidationError, match="only if they ask for it"):
        suppressions.lift(Suppression.objects.all())
    assert suppressions.lift(Suppression.objects.filter(by_person=False)) == 2
    assert unsubscribing.stopped_because(reader)


def test_taking_back_lifts_nothing_that_others_did(alice):
    _run, reader = launched(alice)
    suppressions.suppress(alice.pk, [reader.address], SuppressionReason.BOUNCED)
    unsubscribing.stop_all(reader)
    unsubscribing.take_back(reader)
    assert unsubscribing.stopped_because(reader) == "bounced"


def test_unsubscribing_brings_nobody_more_letters_than_before(alice):
    """Service letters go to who unsubscribed, not to whom the owner had suppressed before."""
    run, reader = launched(alice, 1)
    invoices = make_mailing(
        permits.of_service_letters(alice), lists=[run.mailing.lists.get()], kind=MailingKind.SERVICE
    )
    suppressions.suppress(alice.pk, [reader.address], SuppressionReason.BY_HAND)
    unsubscribing.stop_all(reader)
    assert audience.count(invoices) == audience.Audience(0, {"by hand": 1})


def test_who_complained_takes_it_back_as_well(alice):
    _run, reader = launched(alice, 1)
    suppressions.suppress(alice.pk, [reader.address], SuppressionReason.COMPLAINED)
    unsubscribing.stop_all(reader)
    assert unsubscribing.stopped_because(reader) == "complained"
    unsubscribing.take_back(reader)
    assert not unsubscribing.stopped_because(reader)


def test_taking_back_brings_nobody_back_to_lists_that_the_letter_is_not_of(alice):
    _first, of_first = launched(alice, 1)
    other = make_list(alice, name="Other")
    verbs.add_to_list(other, Client.objects.filter(email=of_first.address))
    (run,) = launching.launch(make_mailing(alice, lists=[other]).pk)
    of_other = reader_of(run.deliveries.get())
    unsubscribing.leave(of_other, {other.pk})
    unsubscribing.take_back(of_first)
    assert [choice.left for choice in unsubscribing.choices(of_other)] == [True]


def test_who_leaves_a_list_still_gets_its_invoices(alice):
    run, reader = launched(alice, 1)
    client_list = run.mailing.lists.get()
    invoices = make_mailing(permits.of_service_letters(alice), lists=[client_list], kind=MailingKind.SERVICE)
    unsubscribing.leave(reader, {client_list.pk})
    assert audience.count(invoices) == audience.Audience(1)


def test_what_is_queued_by_a_list_alone_is_cancelled_when_it_is_left(alice):
    run, reader = launched(alice, 2)
    unsubscribing.leave(reader, {run.mailing.lists.get().pk})
    assert states(run)[reader.address] == ("cancelled", "unsubscribed")
    assert sorted(states(run).values()) == [("cancelled", "unsubscribed"), ("queued", "")]


def test_the_letter_of_a_deleted_mailing_offers_no_lists(alice):
    run, reader = launched(alice, 1)
    make_list(alice, name="Unused")
    verbs.add_to_list(make_list(alice, name="Debtors"), Client.objects.filter(email=reader.address))
    mailing = run.mailing
    run.mailing = None
    run.save()
    mailing.lists.clear()
    assert unsubscribing.choices(reader_of(run.deliveries.get())) == []


def test_letters_to_who_has_stopped_are_not_tried_again(alice):
    run, reader = launched(alice, 2)
    run.deliveries.update(state="failed", due_at=None, settled_at=run.filled_at)
    unsubscribing.stop_all(reader)
    mailings.try_again(run)
    found = states(run)
    assert found.pop(reader.address)[0] == "failed"
    assert [state for state, _ in found.values()] == ["queued"]


def test_the_letter_of_an_erased_account_stands_for_nobody(alice):
    _run, reader = launched(alice)
    Delivery.objects.filter(pk=reader.delivery_id).update(address="")
    gone = reader_of(Delivery.objects.get(pk=reader.delivery_id))
    for act in (unsubscribing.stop_all, unsubscribing.take_back, lambda who: unsubscribing.leave(who, {1})):
        act(gone)
    assert not Suppression.objects.exists()


def test_the_installations_own_list_holds_for_everybody(alice, bob):
    clients = make_clients(alice, 2)
    verbs.create_client(bob, clients[0].email)
    suppressions.suppress(None, [clients[0].email], SuppressionReason.BOUNCED)
    assert audience.count(make_mailing(alice, clients=clients, lists=[])) == audience.Audience(1, {"bounced": 1})
    his = make_mailing(bob, clients=Client.objects.filter(owner=bob), lists=[])
    assert audience.count(his) == audience.Audience(0, {"bounced": 1})

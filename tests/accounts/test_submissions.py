import threading
import uuid
from datetime import timedelta

import pytest
from django.db.models import F

from tests.elsewhere import begin, elsewhere
from vestnik.accounts import idempotency
from vestnik.accounts.models import Submission
from vestnik.clients.models import ClientList

KEY = uuid.UUID(int=7)


def makes_a_list(owner, name="News", before=lambda: None):
    def do():
        before()
        return f"/lists/{ClientList.objects.create(owner=owner, name=name).pk}/"

    return do


def test_a_form_that_is_sent_twice_makes_its_thing_once(alice):
    first, made = idempotency.run_once(alice, KEY, makes_a_list(alice))
    assert made
    again, made = idempotency.run_once(alice, KEY, makes_a_list(alice, "Another"))
    assert not made
    assert again == first == f"/lists/{ClientList.objects.get().pk}/"


def test_another_form_or_another_user_makes_another(alice, bob):
    addresses = {
        idempotency.run_once(user, key, makes_a_list(user, str(key)))[0]
        for user, key in ((alice, KEY), (alice, uuid.uuid4()), (bob, KEY))
    }
    assert len(addresses) == ClientList.objects.count() == 3


def test_a_form_that_failed_can_be_sent_again(alice):
    def fails():
        makes_a_list(alice)()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  (whatever it was)
        idempotency.run_once(alice, KEY, fails)
    assert not Submission.objects.exists()
    assert not ClientList.objects.exists()
    assert idempotency.run_once(alice, KEY, makes_a_list(alice))[1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first_fails", [False, True])
def test_the_second_of_two_at_once_waits_for_what_becomes_of_the_first(alice, first_fails):
    at_work, go_on = threading.Event(), threading.Event()

    def is_slow():
        at_work.set()
        assert go_on.wait(10)
        if first_fails:
            raise ValueError

    def send(name, before):
        try:
            return idempotency.run_once(alice, KEY, makes_a_list(alice, name, before))
        except ValueError:
            return None

    first = begin(lambda: send("first", is_slow))
    assert at_work.wait(10)
    second = elsewhere(lambda: send("second", lambda: None))
    assert not second.done()
    go_on.set()
    results = first.result(30), second.result(30)
    (made,) = ClientList.objects.all()
    address = f"/lists/{made.pk}/"
    if first_fails:
        assert (made.name, *results) == ("second", None, (address, True))
    else:
        assert (made.name, *results) == ("first", (address, True), (address, False))


def test_old_submissions_are_forgotten(alice):
    idempotency.run_once(alice, KEY, lambda: "/old/")
    Submission.objects.update(at=F("at") - idempotency.KEPT - timedelta(minutes=1))
    idempotency.run_once(alice, uuid.uuid4(), lambda: "/new/")
    idempotency.prune()
    assert [submission.address for submission in Submission.objects.all()] == ["/new/"]

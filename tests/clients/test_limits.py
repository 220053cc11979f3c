"""How many lists and imports one owner may have: said beside the field where it can be mended."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from tests.elsewhere import elsewhere
from vestnik import sharing
from vestnik.accounts.models import Share
from vestnik.clients import import_jobs, verbs
from vestnik.clients.import_jobs import run_import
from vestnik.clients.models import ClientImport, ClientList
from vestnik.testing.factories import make_import, make_list, make_message

pytestmark = pytest.mark.usefixtures("valkey")


def upload(owner, **options):
    return make_import(owner, [b"email\nanna@example.org\n"], "clients.csv", **options)


def refused(do):
    with pytest.raises(ValidationError) as refusal:
        do()
    return refusal.value.message_dict


def test_an_owner_has_so_many_lists_and_others_have_theirs(alice, bob, settings):
    settings.LISTS_PER_OWNER = 2
    first, _second = make_list(alice), make_list(alice)
    assert list(refused(lambda: verbs.create_list(alice, "Third"))) == ["name"]
    first.name = "Renamed"
    verbs.save_list(first)
    make_list(bob)
    verbs.delete_list(first)
    verbs.create_list(alice, "Third")
    assert ClientList.objects.filter(owner=alice).count() == 2


def test_an_import_makes_no_list_too_many_and_says_so(alice, settings):
    settings.LISTS_PER_OWNER = 1
    there = make_list(alice, name="There")
    work = upload(alice, list_name="Another")
    run_import(work.pk)
    work.refresh_from_db()
    assert (work.state, ClientList.objects.count(), alice.clients.count()) == ("refused", 1, 0)
    assert "as many as one may have" in work.reason
    work = upload(alice, list_name="There")
    run_import(work.pk)
    assert there.clients.count() == 1


def test_so_many_imports_wait_and_no_more(alice, bob, settings):
    settings.IMPORTS_AT_ONCE = 2
    first, _second = upload(alice), upload(alice)
    said = refused(lambda: upload(alice))
    assert "2 of your imports are not done yet" in said["file"][0]
    upload(bob)
    run_import(first.pk)
    upload(alice)
    assert ClientImport.objects.filter(owner=alice).count() == 3


def test_so_many_files_are_imported_within_a_day_and_no_more(alice, settings):
    settings.IMPORTS_PER_DAY = 2
    for _ in range(2):
        run_import(upload(alice).pk)
    assert list(refused(lambda: upload(alice))) == ["file"]
    ClientImport.objects.update(created_at=timezone.now() - timedelta(hours=25))
    upload(alice)


def make_a_list(owner, number):
    verbs.create_list(owner, f"List {number}")


def take_a_file(owner, number):
    import_jobs.take_file(owner, [b"email\nanna@example.org\n"], f"{number}.csv")


def share_something(owner, number):
    sharing.share(make_message(owner), owner, f"x{number}@example.net", "view")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("setting", "make", "model"),
    [
        ("LISTS_PER_OWNER", make_a_list, ClientList),
        ("IMPORTS_AT_ONCE", take_a_file, ClientImport),
        ("IMPORTS_PER_DAY", take_a_file, ClientImport),
        ("SHARES_PER_OWNER", share_something, Share),
        ("SHARES_PER_DAY", share_something, Share),
    ],
)
def test_two_at_once_are_counted_for_each_other_and_nobody_elses_wait(alice, bob, settings, setting, make, model):
    setattr(settings, setting, 2)
    make(alice, 1)
    said = []
    with transaction.atomic():
        make(alice, 2)
        second = elsewhere(lambda: said.append(refused(lambda: make(alice, 3))))
        assert not second.done()
        assert elsewhere(lambda: make(bob, 4)).done()
    second.result(30)
    assert len(said) == 1
    assert model.objects.filter(owner=alice).count() == 2
    assert model.objects.filter(owner=bob).count() == 1

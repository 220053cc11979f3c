"""Columns that say who wants no letters, as other programs write them: understood, told, and kept as suppression."""

import io

import pytest

from vestnik.clients import column_names, importing, suppressions
from vestnik.clients.models import Client, Suppression
from vestnik.clients.statuses import says_stop
from vestnik.clients.suppressions import SuppressionReason

pytestmark = pytest.mark.usefixtures("valkey")


@pytest.mark.parametrize(
    ("column", "stopping", "others"),
    [
        ("Status", ["unsubscribed", "Unsubscribed ", "Cleaned", "bounced", "Hard bounce", "Marked as spam"],
         ["subscribed", "Active", "confirmed", "VIP", "new", "0", "no", "pending"]),
        ("status", ["blocklisted", "Opted-out", "complained"], ["enabled"]),
        ("Статус", ["Отписан", "отписался", "Жалоба на спам", "Заблокирован"], ["Подписан", "активен", "новый", "нет"]),
        ("Unsubscribed", ["yes", "TRUE", "1", "да", "2024-05-01", "01.05.2024 12:30", "2024-05-01T10:00:00Z"],
         ["no", "0", "false", "нет", "3", "too many letters"]),
        ("unsubscribed_at", ["2024-05-01 10:00:00+00"], ["-"]),
        ("Subscribed", ["no", "0", "False", "нет", "Нет"], ["yes", "1", "да", "01.05.2024"]),
        ("Подписан на рассылку", ["нет"], ["да"]),
        ("Email Opted Out", ["true", "X"], ["false"]),
        ("EMAIL_BLACKLISTED", ["true"], ["false"]),
        ("Accepts Email Marketing", ["no"], ["yes"]),
        ("Bounces", ["yes"], ["0", "2"]),
        ("Newsletter", ["no", "unsubscribed"], ["Hardware weekly", "Black Friday", "yes"]),
        ("Status", [], ["not blocked", "Unblocked", "Not unsubscribed", "не отписан", "Richard", "no complaints"]),
        ("Жалобы", ["есть жалоба"], ["жалоб нет", "нет"]),
        ("SMS Marketing Consent", [], ["no", "UNSUBSCRIBED"]),
        ("Cookie consent", [], ["no"]),
    ],
)  # fmt: skip
def test_values_mean_what_the_program_meant_that_wrote_them(column, stopping, others):
    key = column_names.key(column)
    assert [value for value in stopping if not says_stop(key, value)] == []
    assert [value for value in others if says_stop(key, value)] == []


def imported(owner, text):
    return importing.import_clients(owner, io.BytesIO(text.encode()))


def suppressed(owner):
    return dict(Suppression.objects.filter(owner=owner, lifted_at=None).values_list("address", "reason"))


def test_who_is_marked_becomes_a_client_that_is_not_written_to(alice):
    report = imported(
        alice,
        "email,name,Status\nann@example.org,Ann,subscribed\nbob@example.org,Bob,Unsubscribed\n"
        "carl@example.org,Carl,cleaned\ndora@example.org,Dora,VIP\n",
    )
    assert report.created == 4
    assert suppressed(alice) == {"bob@example.org": "imported", "carl@example.org": "imported"}
    assert Client.objects.get(email="bob@example.org").attributes == {"Status": "Unsubscribed"}
    said = " ".join(report.remarks)
    assert "“Unsubscribed”, “cleaned”" in said or "Unsubscribed, cleaned" in said
    assert "not taken for unsubscribing" in said
    assert "Addresses new on the suppression list: 2." in said


def test_of_two_rows_of_one_address_one_that_stops_is_enough(alice):
    imported(alice, "email,Unsubscribed\nbob@example.org,yes\nbob@example.org,no\n")
    assert suppressed(alice) == {"bob@example.org": "imported"}


def test_a_file_neither_lifts_nor_weakens_what_stands(alice):
    suppressions.suppress(alice.pk, ["bob@example.org"], SuppressionReason.COMPLAINED)
    imported(alice, "email,Status\nbob@example.org,subscribed\n")
    imported(alice, "email,Status\nbob@example.org,unsubscribed\n")
    standing = Suppression.objects.filter(lifted_at=None).order_by("by_person")
    assert [(each.reason, each.by_person) for each in standing] == [("imported", False), ("complained", True)]


def test_a_refused_row_suppresses_nobody(alice):
    imported(alice, "email,Status\nno address,unsubscribed\nbob@example.org,ok\n")
    assert not suppressed(alice)


def test_a_file_in_another_language_is_understood(alice, bob):
    imported(bob, '"e-mail","state","Status"\n"ann@example.org","","Отписка"\n"vera@example.org","","Активен"\n')
    assert suppressed(bob) == {"ann@example.org": "imported"}

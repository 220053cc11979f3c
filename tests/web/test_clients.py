"""The pages of clients."""

import csv
import io
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from vestnik.accounts.models import User
from vestnik.clients import verbs
from vestnik.clients.importing import import_clients
from vestnik.clients.models import Client, ClientList
from vestnik.mailings.ledger import runs
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.models import Delivery
from vestnik.testing import factories
from vestnik.testing.factories import make_import
from web.clients.forms import parsed, written

pytestmark = pytest.mark.usefixtures("valkey")

SCRIPT = "<script>alert(1)</script>"
HUGE = 10**30


def browser_of(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def browser(alice: User) -> Browser:
    return browser_of(alice)


def filled(**fields: Any) -> dict[str, Any]:
    return {"email": "anna@example.org", "full_name": "Anna", "form_key": uuid.uuid4(), **fields}


def errors(answer: Any, field: str) -> str:
    assert answer.status_code == 200
    return " ".join(answer.context["form"].errors.get(field, []))


def listed(browser: Browser, **query: Any) -> list[str]:
    answer = browser.get(reverse("clients:list"), query)
    return [client.email for client in answer.context["object_list"]]


# Adding and changing


def test_a_client_is_added_to_lists_and_shown(browser: Browser, alice: User) -> None:
    friends = verbs.create_list(alice, "Friends")
    answer = browser.post(
        reverse("clients:new"),
        filled(
            email="Anna@Example.org", attributes="city: Oslo\n\nfood: fish", comment="Likes tea", lists=[friends.pk]
        ),
        follow=True,
    )

    client = Client.objects.get()
    assert (client.owner, client.email, client.attributes) == (
        alice,
        "anna@example.org",
        {"city": "Oslo", "food": "fish"},
    )
    assert client.lists.get() == friends
    assert answer.redirect_chain[-1][0] == reverse("clients:detail", args=[client.pk])
    for shown in ("Anna", "Oslo", "Likes tea", "Friends"):
        assert shown in answer.content.decode()


def test_a_double_click_adds_one_client(browser: Browser) -> None:
    form = filled()
    first, second = (browser.post(reverse("clients:new"), form) for _ in range(2))

    assert Client.objects.count() == 1
    assert first["Location"] == second["Location"]


def test_an_address_that_is_there_already_is_refused_beside_its_field(browser: Browser, alice: User) -> None:
    verbs.create_client(alice, "anna@example.org")
    answer = browser.post(reverse("clients:new"), filled(email="ANNA@example.org", comment="typed"))

    assert "already" in errors(answer, "email")
    assert "typed" in answer.content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "no address"),
        ("email", "x" * 10_000 + "@example.org"),
        ("full_name", "x" * 10_000),
        ("full_name", "Anna\x00"),
        ("comment", "Anna\x00"),
        ("attributes", "city Oslo"),
        ("attributes", "city: Oslo\ncity: Bergen"),
        ("attributes", "date of birth: 1 May"),
        ("attributes", "x" * 10_000 + ": 1"),
        ("lists", "999999"),
        ("lists", "x"),
        ("lists", str(HUGE)),
    ],
)
def test_what_is_wrong_stands_beside_its_field(browser: Browser, field: str, value: str) -> None:
    assert errors(browser.post(reverse("clients:new"), filled(**{field: value})), field)
    assert not Client.objects.exists()


def test_long_comments_and_values_are_kept(browser: Browser) -> None:
    browser.post(reverse("clients:new"), filled(comment="c" * 10_000, attributes="note: " + "n" * 2_000))

    client = Client.objects.get()
    assert (len(client.comment), len(client.attributes["note"])) == (10_000, 2_000)


@pytest.mark.parametrize(
    ("field", "sent", "said"),
    [
        ("comment", "c" * 10_001, "at most 10000 characters"),
        ("attributes", "note: " + "n" * 2_001, "“note” has 2001 characters; at most 2000"),
        ("attributes", "n" * 101 + ": x", "at most 100"),
        ("attributes", "\n".join(f"n{number}: x" for number in range(201)), "Line 201: a client may have at most 200"),
        ("attributes", "\n".join(f"n{number}: " + "я" * 1000 for number in range(17)), "at most 32768 are allowed"),
        ("attributes", "City: Oslo\nｃｉｔｙ: Rome", "Line 2: “ｃｉｔｙ” stands there for the second time"),
    ],
)
def test_what_is_too_much_for_a_client_is_said_beside_its_field(
    browser: Browser, field: str, sent: str, said: str
) -> None:
    answer = browser.post(reverse("clients:new"), filled(**{field: sent}))

    assert said in " ".join(answer.context["form"].errors[field])
    assert not Client.objects.exists()


def test_attributes_are_spelled_as_the_owner_spelled_them_first(browser: Browser, bob: User) -> None:
    verbs.create_client(bob, "b@example.org", attributes={"CITY": "Omsk"})
    browser.post(reverse("clients:new"), filled(attributes="City: Oslo"))
    browser.post(reverse("clients:new"), filled(email="boris@example.org", attributes="city: Rome\nＣＩＴＹ2: x"))

    assert Client.objects.get(email="boris@example.org").attributes == {"City": "Rome", "CITY2": "x"}


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"city": "Oslo"},
        {"note": "one\ntwo\n\nthree", "time": "12:30"},
        {"note": "one\n  indented", "город": "Омск"},
    ],
)
def test_attributes_come_back_as_they_were_written(attributes: dict[str, str]) -> None:
    assert parsed(written(attributes).replace("\n", "\r\n")) == attributes


def test_lists_that_are_not_ticked_any_more_are_left(browser: Browser, alice: User) -> None:
    friends, customers = verbs.create_list(alice, "Friends"), verbs.create_list(alice, "Customers")
    client = verbs.create_client(alice, "anna@example.org", [friends])
    browser.post(reverse("clients:change", args=[client.pk]), filled(lists=[customers.pk]))

    assert list(client.lists.all()) == [customers]


def test_a_strangers_list_cannot_be_chosen(browser: Browser, bob: User) -> None:
    foes = verbs.create_list(bob, "Foes")

    assert errors(browser.post(reverse("clients:new"), filled(lists=[foes.pk])), "lists")


def test_a_client_is_deleted(browser: Browser, alice: User) -> None:
    client = verbs.create_client(alice, "anna@example.org")
    asked = browser.get(reverse("clients:delete", args=[client.pk]))
    assert "anna@example.org" in asked.content.decode()
    answer = browser.post(reverse("clients:delete", args=[client.pk]), follow=True)

    assert "The client is deleted" in answer.content.decode()
    assert not Client.objects.exists()


# Finding


def test_clients_are_found_by_parts_of_their_names_and_addresses(browser: Browser, alice: User) -> None:
    verbs.create_client(alice, "a@example.org", full_name="Семён Ёлкин")
    verbs.create_client(alice, "boris@elk.org", full_name="Boris_100%")

    assert listed(browser, q="ЕЛКИН") == ["a@example.org"]
    assert listed(browser, q="@ELK") == ["boris@elk.org"]
    assert listed(browser, q="s_1") == ["boris@elk.org"]
    assert listed(browser, q="0%") == ["boris@elk.org"]
    assert listed(browser, q="s%1") == []
    assert listed(browser, q="\\") == []
    assert listed(browser, q="x" * 10_000) == []
    assert listed(browser, q="\x00") == listed(browser)


def test_addresses_of_other_scripts_are_shown_searched_exported_and_edited_as_people_write_them(
    browser: Browser, alice: User
) -> None:
    client = verbs.create_client(alice, "Почта@Пример.рф")
    plain = verbs.create_client(alice, "bob@пример.рф", full_name="Bob")

    assert (client.email, plain.email) == ("почта@xn--e1afmkfd.xn--p1ai", "bob@xn--e1afmkfd.xn--p1ai")
    for wanted in ("почта@ПРИМЕР.рф", "почта", "ПОЧТА@", "почта@xn--e1afmkfd.xn--p1ai"):
        assert listed(browser, q=wanted) == [client.email]
    for wanted in ("@пример.рф", "пример", "xn--e1afmkfd"):
        assert len(listed(browser, q=wanted)) == 2
    addresses = [reverse("clients:list"), reverse("clients:export")]
    addresses += [reverse(f"clients:{page}", args=[plain.pk]) for page in ("detail", "change", "delete")]
    for address in addresses:
        answer = browser.get(address)
        page = (b"".join(answer) if answer.streaming else answer.content).decode()
        assert "bob@пример.рф" in page or "Bob" in page
        assert "xn--" not in page
    form = browser.get(reverse("clients:change", args=[client.pk])).context["form"]
    assert form["email"].value() == "почта@пример.рф"
    assert 'type="email"' not in str(form["email"])


def test_clients_are_sorted_and_narrowed_to_a_list(browser: Browser, alice: User) -> None:
    friends = verbs.create_list(alice, "Friends")
    verbs.create_client(alice, "b@example.org", [friends], full_name="anna")
    verbs.create_client(alice, "a@example.org", [friends], full_name="Boris")
    verbs.create_client(alice, "c@example.org", full_name="Clara")

    assert listed(browser) == ["b@example.org", "a@example.org", "c@example.org"]
    assert listed(browser, sort="email") == ["a@example.org", "b@example.org", "c@example.org"]
    assert listed(browser, sort="-added") == ["c@example.org", "a@example.org", "b@example.org"]
    assert listed(browser, sort="owner__password") == listed(browser)
    assert listed(browser, list=friends.pk, sort="-name") == ["a@example.org", "b@example.org"]


@pytest.mark.parametrize("asked", ["x", "-1", "0", str(HUGE), "1 OR 1=1"])
def test_a_list_that_is_not_there_is_not_found(browser: Browser, asked: str) -> None:
    assert browser.get(reverse("clients:list"), {"list": asked}).status_code == 404
    assert browser.get(reverse("clients:export"), {"list": asked}).status_code == 404


def test_htmx_gets_the_table_alone(browser: Browser, alice: User) -> None:
    factories.make_clients(alice, 1)
    answer = browser.get(reverse("clients:list"), headers={"HX-Request": "true"}).content.decode()

    assert "<html" not in answer
    assert 'id="table"' in answer
    assert 'id="export"' in answer


def test_the_back_button_gets_the_whole_page(browser: Browser, alice: User) -> None:
    work = make_import(alice, [b"email\n"], "a.csv")
    back = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    for address in (reverse("clients:list"), reverse("clients:import-detail", args=[work.pk])):
        page = browser.get(address, headers=back).content.decode()
        assert "<html" in page
        assert page.count('id="export"') <= 1
        assert "<html" not in browser.get(address, headers={"HX-Request": "true"}).content.decode()


def test_a_page_of_clients_takes_the_same_queries_however_many_there_are(browser: Browser, alice: User) -> None:
    factories.make_list(alice, 1)
    browser.get(reverse("clients:list"))  # notes when the user was seen
    with CaptureQueriesContext(connection) as few:
        browser.get(reverse("clients:list"))
    for _number in range(3):
        factories.make_list(alice, 10)
    with CaptureQueriesContext(connection) as many:
        answer = browser.get(reverse("clients:list"))

    assert len(answer.context["object_list"]) == 31
    assert len(many) == len(few)


# What people may have written


@pytest.mark.parametrize("name", [SCRIPT, "\u202eAnna", "سارة محمد", "👩‍👩‍👧 Family", '"><img src=x onerror=alert(1)>'])
def test_names_of_all_kinds_are_shown_as_they_are(browser: Browser, alice: User, name: str) -> None:
    friends = verbs.create_list(alice, name)
    client = verbs.create_client(
        alice, "anna@example.org", [friends], full_name=name, comment=name, attributes={"note": name}
    )
    for address in (
        reverse("clients:list"),
        reverse("clients:list") + f"?list={friends.pk}",
        reverse("clients:detail", args=[client.pk]),
        reverse("clients:change", args=[client.pk]),
        reverse("clients:delete", args=[client.pk]),
    ):
        page = browser.get(address).content.decode()
        assert "<script>alert" not in page
        assert "<img" not in page.replace('<img src="/static', "")
        assert name in page.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')


# The last letters


def test_a_clients_page_shows_the_last_letters_to_them(browser: Browser, alice: User) -> None:
    mailing = factories.make_mailing(alice, 2, name="Spring news")
    anna, boris = Client.objects.order_by("pk")
    run = runs.open_run(mailing, mailing.end)
    Run.objects.filter(pk=run.pk).update(total=1)
    letter = Delivery.objects.create(run=run, client_id=anna.pk, address=anna.email, state="failed")

    page = browser.get(reverse("clients:detail", args=[anna.pk])).content.decode()
    assert "Spring news" in page
    assert "failed" in page
    assert reverse("runs:delivery", args=[run.pk, letter.pk]) in page
    assert "Spring news" not in browser.get(reverse("clients:detail", args=[boris.pk])).content.decode()


# Many at once


def test_ticked_clients_are_put_on_a_list(browser: Browser, alice: User, bob: User) -> None:
    friends = verbs.create_list(alice, "Friends")
    anna, boris = factories.make_clients(alice, 2)
    (stranger,) = factories.make_clients(bob, 1)
    form = {"client": [anna.pk, boris.pk, stranger.pk, "x", HUGE], "list": friends.pk, "back": "q=a&sort=-name"}
    answer = browser.post(reverse("clients:put-on-list"), form)

    assert answer["Location"] == reverse("clients:list") + "?q=a&sort=-name"
    assert set(friends.clients.all()) == {anna, boris}


@pytest.mark.parametrize("asked", ["", "x", str(HUGE), "9" * 5_000, "²", "\x00", "stranger's"])
def test_ticked_clients_are_put_on_ones_own_lists_only(browser: Browser, alice: User, bob: User, asked: str) -> None:
    foes = verbs.create_list(bob, "Foes")
    (anna,) = factories.make_clients(alice, 1)
    form = {"client": anna.pk, "list": foes.pk if asked == "stranger's" else asked}
    answer = browser.post(reverse("clients:put-on-list"), form, follow=True)

    assert "Choose the list" in answer.content.decode()
    assert not anna.lists.exists()


def test_deleting_many_asks_first(browser: Browser, alice: User, bob: User) -> None:
    clients = factories.make_clients(alice, 12)
    (stranger,) = factories.make_clients(bob, 1)
    form = {"client": [client.pk for client in (*clients[:11], stranger)]}

    asked = browser.post(reverse("clients:delete-many"), form).content.decode()
    assert "Delete 11 clients?" in asked
    assert "and 1 more" in asked
    assert min(client.email for client in clients[:11]) in asked, "the first ten by their address"
    assert stranger.email not in asked
    assert Client.objects.count() == 13

    answer = browser.post(reverse("clients:delete-many"), {**form, "sure": "1"}, follow=True)
    assert "11 clients are deleted" in answer.content.decode()
    assert set(Client.objects.all()) == {clients[11], stranger}


@pytest.mark.parametrize("written", ["", "x", "-1", str(HUGE), "9" * 5_000, "²", "\x00"])
def test_what_is_no_client_cannot_be_ticked(browser: Browser, alice: User, written: str) -> None:
    friends = verbs.create_list(alice, "Friends")
    for name in ("delete-many", "put-on-list"):
        form = {"client": written, "list": friends.pk, "sure": "1"}
        assert browser.post(reverse(f"clients:{name}"), form).status_code == 302
    assert browser.post(reverse("lists:take-off", args=[friends.pk]), {"client": written}).status_code == 302


def test_thousands_can_be_ticked(browser: Browser, alice: User) -> None:
    form = {"client": [client.pk for client in factories.make_clients(alice, 3_000)], "sure": "1"}

    assert browser.post(reverse("clients:delete-many"), form).status_code == 302
    assert not Client.objects.exists()


@pytest.mark.parametrize(
    "back", ["x" * 20_000, "q=" + "é" * 1_000, "&".join(f"a={number}" for number in range(20_000)), "\x00", "\r\na: b"]
)
def test_one_goes_back_to_the_table_whatever_stood_in_its_address(browser: Browser, alice: User, back: str) -> None:
    friends = factories.make_list(alice, 1)
    form = {"client": friends.clients.get().pk, "list": friends.pk, "back": back}
    for address, table in (
        (reverse("clients:put-on-list"), reverse("clients:list")),
        (reverse("lists:take-off", args=[friends.pk]), reverse("lists:detail", args=[friends.pk])),
    ):
        answer = browser.post(address, form)
        assert answer.status_code == 302
        assert answer["Location"].partition("?")[0] == table
        assert browser.get(answer["Location"]).status_code == 200
    assert browser.post(reverse("clients:delete-many"), form).status_code == 200


def test_deleting_nobody_says_so(browser: Browser) -> None:
    answer = browser.post(reverse("clients:delete-many"), {"sure": "1"}, follow=True)

    assert "Tick those" in answer.content.decode()


# Export


def exported(browser: Browser, **query: Any) -> list[dict[str, str]]:
    answer = browser.get(reverse("clients:export"), query)
    assert answer.streaming
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    content = b"".join(answer).decode("utf-8-sig")  # type: ignore[arg-type]
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_clients_are_exported_with_their_attributes_and_without_formulas(
    browser: Browser, alice: User, bob: User
) -> None:
    verbs.create_client(alice, "anna@example.org", full_name="=1+1", comment="two\nlines", attributes={"город": "Омск"})
    verbs.create_client(alice, "boris@example.org", full_name="Б", attributes={"city": "Oslo"})
    verbs.create_client(bob, "bob@example.org")

    anna = {"email": "anna@example.org", "full_name": "'=1+1", "comment": "two\nlines", "city": "", "город": "Омск"}
    boris = {"email": "boris@example.org", "full_name": "Б", "comment": "", "city": "Oslo", "город": ""}
    assert exported(browser) == [anna, boris]
    assert [next(iter(row.values())) for row in exported(browser, q="boris")] == ["boris@example.org"]


def test_what_was_exported_and_is_imported_again_is_as_it_was(browser: Browser, alice: User) -> None:
    written = {"full_name": "-Anna", "comment": "= not\n+1;'=2\t@x", "attributes": {"phone": "+47 123", "t": "x;=1+1"}}
    verbs.create_client(alice, "anna@example.org", **written)
    content = b"".join(browser.get(reverse("clients:export")))  # type: ignore[arg-type]

    assert import_clients(alice, io.BytesIO(content)).unchanged == 1
    Client.objects.all().delete()
    assert import_clients(alice, io.BytesIO(content)).created == 1
    client = Client.objects.get()
    assert {name: getattr(client, name) for name in written} == written


def test_the_export_keeps_to_the_list_and_its_order(browser: Browser, alice: User) -> None:
    friends = factories.make_list(alice, 3)
    factories.make_clients(alice, 2)
    emails = sorted((client.email for client in friends.clients.all()), reverse=True)

    assert [row["email"] for row in exported(browser, list=friends.pk, sort="-email")] == emails


# Who may


def test_a_strangers_client_does_not_exist(alice: User, bob: User) -> None:
    client = verbs.create_client(alice, "anna@example.org")
    stranger = browser_of(bob)

    for name in ("detail", "change", "delete"):
        assert stranger.get(reverse(f"clients:{name}", args=[client.pk])).status_code == 404
    for name in ("change", "delete"):
        assert stranger.post(reverse(f"clients:{name}", args=[client.pk]), filled()).status_code == 404
    assert "anna" not in stranger.get(reverse("clients:list")).content.decode()
    assert exported(stranger) == []
    stranger.post(reverse("clients:delete-many"), {"client": client.pk, "sure": "1"})
    assert Client.objects.get() == client


def test_numbers_beyond_all_clients_are_not_found(browser: Browser) -> None:
    assert browser.get(f"/clients/{HUGE}/").status_code == 404


def test_managers_and_the_unconfirmed_look_and_change_nothing(alice: User, maria: User) -> None:
    alice.confirmed_at = None
    alice.save()
    for user in (alice, maria):
        client = factories.make_clients(user, 1)[0]
        friends = ClientList.objects.create(owner=user, name="Friends")
        browser = browser_of(user)

        page = browser.get(reverse("clients:list")).content.decode()
        assert client.email in page
        for name in ("new", "import", "delete-many", "put-on-list"):
            assert reverse(f"clients:{name}") not in page
        thing = browser.get(reverse("clients:detail", args=[client.pk])).content.decode()
        assert reverse("clients:delete", args=[client.pk]) not in thing
        assert browser.post(reverse("clients:new"), filled()).status_code == 403
        assert browser.post(reverse("clients:import"), {}).status_code == 403
        ticked = {"client": client.pk, "list": friends.pk, "sure": "1"}
        assert browser.post(reverse("clients:delete-many"), ticked).status_code == 403
        assert browser.post(reverse("clients:put-on-list"), ticked).status_code == 403
        assert browser.post(reverse("clients:delete", args=[client.pk])).status_code in (403, 404)
    assert Client.objects.count() == 2
    assert not Client.objects.filter(lists__isnull=False).exists()


@pytest.mark.parametrize("name", ["list", "export", "new", "import", "imports", "delete-many", "put-on-list"])
def test_who_is_not_signed_in_is_asked_to(db: None, name: str) -> None:
    assert "/accounts/login/" in Browser().get(reverse(f"clients:{name}"))["Location"]

from collections import Counter
from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from dispatcher import launching, ticking
from vestnik import access, demo
from vestnik.accounts.models import User
from vestnik.clients.models import Client, ClientList
from vestnik.demo import people
from vestnik.mailings import audience, rendering
from vestnik.mailings.models import Mailing, Message
from vestnik.mailings.records import Run

EVERYTHING = (User, Client, ClientList, Message, Mailing)


def run_command(*options):
    said = StringIO()
    call_command("demo", *options, stdout=said)
    return said.getvalue()


@pytest.fixture
def owner(db):
    assert demo.fill()
    return User.objects.get(email=demo.OWNER.email)


def test_there_is_one_for_each_part_somebody_can_play(owner):
    users = {user.email.partition("@")[0]: user for user in User.objects.all()}
    assert set(users) == {"demo", "manager", "editor", "admin"}
    for user in users.values():
        assert authenticate(email=user.email, password=demo.password()) == user
        assert user.is_confirmed
    assert [name for name, user in users.items() if user.is_superuser] == ["admin"]
    assert [name for name, user in users.items() if user.is_staff] == ["admin"]
    assert users["manager"].is_manager
    assert users["editor"].groups.get().name == "content managers"
    assert access.may_own(users["demo"])
    assert not users["demo"].groups.exists()


def test_its_clients_are_three_hundred_different_people(owner):
    clients = Client.objects.filter(owner=owner)
    assert clients.count() == clients.values("full_name").distinct().count() == 300
    for client in clients:
        client.full_clean()
        assert client.full_name
    assert 5 < clients.exclude(comment="").count() < 100
    sizes = [client_list.clients.count() for client_list in ClientList.objects.order_by("pk")]
    assert sizes == [116, 140, 25, 0]


@pytest.mark.parametrize(
    ("his", "hers"),
    [
        ("Белов", "Белова"),
        ("Алёхин", "Алёхина"),
        ("Островский", "Островская"),
        ("Трубецкой", "Трубецкая"),
        ("Ким", "Ким"),
        ("Черных", "Черных"),
        ("Шевченко", "Шевченко"),
    ],
)
def test_surnames_bend_as_russians_bend_them(his, hers):
    assert people.feminine(his) == hers


def test_a_womans_names_agree(owner):
    women = [
        name.split() for name in Client.objects.values_list("full_name", flat=True) if name.split()[1][-2:] == "на"
    ]
    men = [name.split() for name in Client.objects.values_list("full_name", flat=True) if name.split()[1][-2:] == "ич"]
    assert len(women) + len(men) == 180
    assert min(len(women), len(men)) > 60
    assert {first for first, _, _ in women} <= set(people.WOMEN)
    assert {first for first, _, _ in men} <= set(people.MEN)
    assert {last for *_, last in men} <= set(people.SURNAMES)


def test_addresses_are_those_of_nobody(owner):
    domains = Counter(address.partition("@")[2] for address in Client.objects.values_list("email", flat=True))
    assert set(domains) == {"example.org", "example.com", "refused.example", "busy.example"}
    assert (domains["refused.example"], domains["busy.example"]) == (people.REFUSED, people.BUSY)


def test_its_messages_are_whole_for_everybody_they_go_to(owner):
    for mailing in Mailing.objects.select_related("message"):
        for text in (mailing.message.subject, mailing.message.html, mailing.message.text):
            assert rendering.check(text) is None
        if "attributes.city" in mailing.message.text:
            assert not audience.of(mailing).exclude(attributes__has_key="city").exists()


def test_there_is_a_mailing_in_every_state(owner):
    for mailing_id in ticking.due_mailings():
        launching.launch(mailing_id)
    mailings = {mailing.name: mailing for mailing in Mailing.objects.with_status()}
    launched = {run.mailing.name: run for run in Run.objects.select_related("mailing")}
    assert {name: (run.state, run.total) for name, run in launched.items()} == {
        "Autumn newsletter": ("open", 116),
        "Ежедневные новости": ("open", 140),
        demo.LONG_NAME: ("open", 25),
        "Address check": ("open", 21),
        "Welcome to the fair": ("finished", 0),
    }
    assert launched["Welcome to the fair"].reason == "the audience is empty"
    assert mailings["Welcome to the fair"].status == "completed"
    assert mailings["Winter newsletter"].status == "created"
    assert mailings["Подтверждения заказов"].hold == "paused"
    assert mailings["Half price this weekend"].hold == "switched off"
    assert mailings["Half price this weekend"].switched_off_by.email == demo.MANAGER.email
    assert all(mailings[name].next_at for name in ("Ежедневные новости", demo.LONG_NAME))
    assert sum(run.total for run in launched.values()) < 500


def test_only_the_address_check_meets_those_who_take_nothing(owner):
    for mailing in Mailing.objects.exclude(name="Address check"):
        assert not audience.of(mailing).filter(email__endswith=".example").exists()


def test_a_demo_that_is_there_stays_as_it_is(owner):
    Mailing.objects.filter(name="Autumn newsletter").update(name="Renamed")
    before = [list(model.objects.order_by("pk").values()) for model in EVERYTHING]
    assert not demo.fill()
    run_command()
    assert [list(model.objects.order_by("pk").values()) for model in EVERYTHING] == before


def test_it_can_be_made_beside_others(alice):
    assert demo.fill()
    assert Client.objects.filter(owner=alice).count() == 0
    assert User.objects.count() == 5


def test_it_is_not_made_where_an_address_of_its_own_is_somebody_elses(db):
    User.objects.create_user("editor@vestnik.test", "a long password")
    with pytest.raises(CommandError, match=r"an address of its own: editor@vestnik\.test") as refusal:
        run_command()
    assert refusal.value.returncode == 2
    assert User.objects.count() == 1
    assert not Client.objects.exists()


def test_the_command_says_who_can_sign_in(db):
    lines = run_command().splitlines()
    assert lines[0] == f"Sign in with the password {demo.password()} as"
    assert [line.split()[0] for line in lines[2:]] == [account.email for account in demo.ACCOUNTS]
    assert run_command().splitlines() == lines


def test_the_command_does_not_promise_a_password_that_was_changed(owner):
    owner.set_password("another password")
    owner.save()
    ours, *others = run_command().splitlines()[2:]
    assert ours.endswith("(with the password you gave it)")
    assert not any("you gave" in line for line in others)


def test_only_an_empty_installation_is_filled_if_that_is_what_was_asked_for(alice):
    assert run_command("--if-empty") == "There are users already: no demo was made.\n"
    assert User.objects.count() == 1
    alice.delete()
    assert run_command("--if-empty") == run_command() == run_command("--if-empty")
    assert User.objects.count() == 4

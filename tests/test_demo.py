from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.urls import reverse

from dispatcher.runs import launching, ticking
from vestnik import access, demo
from vestnik.accounts.models import User
from vestnik.blog import html
from vestnik.blog.models import Picture, Post, file_name
from vestnik.clients.models import Client, ClientList
from vestnik.demo import drawings, people, posts
from vestnik.mailings import audience, rendering
from vestnik.mailings.ledger.models import Run
from vestnik.mailings.models import Mailing, Message

EVERYTHING = (User, Client, ClientList, Message, Mailing, Post, Picture)


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch, settings, tmp_path):
    """Large ones take seconds, and are looked at below."""
    monkeypatch.setattr(posts, "WIDTH", 160)
    settings.MEDIA_ROOT = tmp_path


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


def test_a_demo_account_speaks_the_language_of_who_opens_it_and_nobody_elses_does(owner, client, alice):
    def sign_in(email, password, language):
        written = {"login": email, "password": password}
        client.post(f"/{language}/accounts/login/", written)
        return client.get(reverse("overview")).content.decode()

    assert '<html lang="ru"' in sign_in(demo.OWNER.email, demo.password(), "ru")
    client.logout()
    assert '<html lang="en"' in sign_in(demo.OWNER.email, demo.password(), "en")
    client.logout()
    assert '<html lang="en"' in sign_in(alice.email, "a long password", "ru")


def test_its_clients_are_three_hundred_different_people(owner):
    clients = Client.objects.filter(owner=owner)
    assert clients.count() == clients.values("full_name").distinct().count() == 300
    for client in clients:
        client.full_clean()
        assert client.full_name
    assert 5 < clients.exclude(comment="").count() < 100
    sizes = [client_list.clients.count() for client_list in ClientList.objects.order_by("pk")]
    assert sizes == [115, 140, 24, 0]


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
    special = {
        "refused.example": people.REFUSED, "busy.example": people.BUSY,
        "bounced.example": people.BOUNCED, "complained.example": people.COMPLAINED,
    }  # fmt: skip
    assert set(domains) == {"example.org", "example.com", *special}
    assert {domain: domains[domain] for domain in special} == special


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
        "Autumn newsletter": ("open", 115),
        "Ежедневные новости": ("open", 140),
        demo.LONG_NAME: ("open", 24),
        "Address check": ("open", 24),
        "Welcome to the fair": ("finished", 0),
    }
    assert launched["Welcome to the fair"].reason == "the audience is empty"
    assert mailings["Welcome to the fair"].status == "completed"  # type: ignore[attr-defined]
    assert mailings["Winter newsletter"].status == "created"  # type: ignore[attr-defined]
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


def test_its_blog_can_be_read_in_two_languages(owner):
    published = list(Post.objects.published())
    assert Counter(post.language for post in published) == {"en": 4, "ru": 4}
    assert len({post.publish_at.date() for post in published}) == 8
    assert Post.objects.get(draft=True).language == "en"
    assert Post.objects.waiting().get().language == "ru"
    assert [post.slug for post in published if post.picture is None] == ["pervaya-minuta"]
    for post in Post.objects.all():
        post.full_clean()
        assert post.content == html.clean(post.content)
        assert 230 < len(html.TAG.sub("", post.content).split()) < 500
        assert {"<h2>", "<blockquote>", "<li>"} <= set(html.TAG.findall(post.content))
        assert ("а" in post.content) == (post.language == "ru")


def test_its_pictures_are_there_and_say_what_they_show(owner):
    for picture in Picture.objects.filter(posts__isnull=False):
        assert picture.alt
        for kind in ("jpg", "webp"):
            assert default_storage.open(file_name(picture.key, picture.width, kind)).read(4)
    in_texts = [html.pictures(post.content) for post in Post.objects.all()]
    assert sum(map(len, in_texts)) == 2
    assert Picture.objects.count() == len(drawings.DRAWINGS) == 11
    assert not [post for post in Post.objects.all() if 'alt=""' in post.content]


def test_nothing_is_left_over_that_no_post_shows():
    assert {path.stem for path in Path(posts.__file__).with_name("articles").iterdir()} == {
        article.slug for article in posts.ARTICLES
    }


@pytest.mark.parametrize("name", drawings.DRAWINGS)
def test_a_picture_is_drawn_in_full_and_the_same_each_time(name):
    picture = drawings.draw(name)
    assert picture.size == (1600, 900)
    assert picture.tobytes() == drawings.draw(name).tobytes()
    assert len(picture.getcolors(1_000_000) or ()) > 100


def test_posts_are_made_where_only_they_are_missing(owner):
    Post.objects.all().delete()
    Picture.objects.all().delete()
    clients = list(Client.objects.order_by("pk").values())
    assert not demo.fill()
    assert Post.objects.count() == 10
    assert list(Client.objects.order_by("pk").values()) == clients


def test_posts_that_were_deleted_or_changed_do_not_come_back(owner):
    Post.objects.filter(language="en").delete()
    Post.objects.filter(slug="million-strok").update(title="Иначе")
    run_command()
    assert Post.objects.count() == 5
    assert Post.objects.filter(title="Иначе").exists()

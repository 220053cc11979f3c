"""`create_mailing`, the command: what is made of its options, and which sentences bad ones get."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from vestnik import access
from vestnik.clients import verbs
from vestnik.mailings import calendar
from vestnik.mailings.models import Mailing, Message


@pytest.fixture
def friends(alice):
    return verbs.create_list(alice, "Friends")


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("Dear {{ full_name }}, привет.")
    return str(file)


@pytest.fixture
def create(alice, friends, text, capsys):
    """Run the command with enough options; those given override or add. Gives the mailing whose id was printed."""

    def run(*options, audience=("--list", "Friends"), body=("--text", text)):
        call_command("create_mailing", "--owner", "alice@example.org", "--subject", "News", *audience, *body, *options)
        printed = capsys.readouterr().out
        assert printed == f"{int(printed)}\n"
        return Mailing.objects.get(pk=int(printed))

    return run


def test_with_the_fewest_options_it_starts_now_and_ends_a_day_later(create, alice, friends):
    mailing = create()
    assert (mailing.owner, mailing.name, mailing.periodicity, mailing.time_zone) == (alice, "News", "once", "UTC")
    assert abs(mailing.start - timezone.now()) < timedelta(seconds=10)
    assert mailing.end - mailing.start == timedelta(days=1)
    assert mailing.next_at == mailing.start
    assert list(mailing.lists.all()) == [friends]
    assert mailing.message.text == "Dear {{ full_name }}, привет."
    assert access.may(alice, "change", mailing)
    assert access.may(alice, "change", mailing.message)


def test_lists_and_clients_can_be_mixed_and_repeated(create, alice):
    verbs.create_list(alice, "Foes")
    ann = verbs.create_client(alice, "ann@example.org")
    bob = verbs.create_client(alice, "bob@example.org")
    audience = ("--list", "Friends", "--list", "Foes", "--client", "ANN@example.org", "--client", "bob@example.org")
    mailing = create(audience=audience)
    assert {client_list.name for client_list in mailing.lists.all()} == {"Friends", "Foes"}
    assert set(mailing.clients.all()) == {ann, bob}


def test_moments_are_taken_in_the_time_zone_unless_they_carry_an_offset(create):
    mailing = create(
        "--start", "2040-01-31T09:00", "--end", "2040-06-30 12:00+00:00", "--every", "monthly",
        "--timezone", "Europe/Moscow", "--name", "Monthly", "--sender-name", "The herald",
    )  # fmt: skip
    assert mailing.start == datetime(2040, 1, 31, 6, tzinfo=UTC)
    assert mailing.end == datetime(2040, 6, 30, 12, tzinfo=UTC)
    assert (mailing.time_zone, mailing.name, mailing.sender_name) == ("Europe/Moscow", "Monthly", "The herald")


def test_a_start_that_the_clocks_skip_moves_that_day_only(create):
    mailing = create(
        "--start", "2040-03-25T02:30", "--end", "2040-03-28T00:00", "--every", "daily", "--timezone", "Europe/Berlin"
    )  # fmt: skip
    assert mailing.start == datetime(2040, 3, 25, 1, 30, tzinfo=UTC)
    assert calendar.next_occurrence(mailing.schedule, mailing.start) == datetime(2040, 3, 26, 0, 30, tzinfo=UTC)


def test_the_time_zone_is_the_owners_if_none_is_given(create, alice):
    type(alice).objects.update(time_zone="Asia/Tokyo")
    mailing = create("--start", "2040-01-01T09:00")
    assert mailing.start == datetime(2040, 1, 1, tzinfo=UTC)
    assert mailing.time_zone == "Asia/Tokyo"


def test_html_and_text_can_come_together_and_one_from_standard_input(create, text, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\ufeff<p>Привет</p>".encode())))
    mailing = create(body=("--html", "-", "--text", text))
    assert (mailing.message.html, mailing.message.text[:4]) == ("<p>Привет</p>", "Dear")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--owner", "nobody@example.org"], "--owner: There is no user"),
        (["--subject", "a\r\nBcc: all@example.org"], "--subject: Line breaks"),
        (["--subject", "a" * 251], "--subject: "),
        (["--subject", "{{ secret }}"], "--subject: Unknown placeholders: secret"),
        (["--subject", ""], "--subject: "),
        (["--name", "a\nb"], "--name: Line breaks"),
        (["--sender-name", "a\nb"], "--sender-name: Line breaks"),
        (["--start", "tomorrow"], "--start: “tomorrow”"),
        (["--start", "0001-01-01T00:00", "--timezone", "Asia/Tokyo"], "--start: "),
        (["--end", "2001-01-01T00:00"], "--end: The end must be after the start"),
        (["--start", "2001-01-01", "--end", "2001-01-02"], "--end: The end is in the past"),
        (["--start", "9999-12-31T12:00"], "--start: "),
        (["--every", "daily"], "--end: A mailing that repeats"),
        (["--timezone", "Moon/Crater"], "--timezone: “Moon/Crater”"),
        (["--list", "Foes"], "--list: The owner has no Foes"),
        (["--client", "nobody@example.org"], "--client: The owner has no nobody@example.org"),
        (["--client", "nobody"], "--client: "),
        (["--text", "no such file"], "--text: no such file: No such file"),
        (["--text", "/"], "--text: "),
        (["--html", "-", "--text", "-"], "standard input"),
    ],
)
def test_bad_options_get_a_sentence_that_names_them_and_nothing_is_created(create, options, sentence):
    with pytest.raises(CommandError, match=sentence) as failure:
        create(*options)
    assert failure.value.returncode == 2
    assert not Mailing.objects.exists()
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x89PNG\0", "binary"),
        ("привет".encode("cp1251"), "not text in UTF-8"),
        (b" \n", "--text: A message needs a text"),
        (b"{{ password }}", "--text: Unknown placeholders: password"),
        (b"x" * 10_000_001, "larger than"),
    ],
)
def test_a_bad_body_is_refused(create, tmp_path, content, sentence):
    file = tmp_path / "body"
    file.write_bytes(content)
    with pytest.raises(CommandError, match=sentence) as failure:
        create(body=("--text", str(file)))
    assert failure.value.returncode == 2
    assert not Message.objects.exists()


def test_somebody_must_get_it_and_something_must_be_sent(create):
    with pytest.raises(CommandError, match="At least one --list or --client"):
        create(audience=())
    with pytest.raises(CommandError, match="--text FILE or --html FILE"):
        create(body=())


def test_only_the_owners_own_lists_and_clients_are_known(create, bob):
    verbs.create_list(bob, "Bob's")
    verbs.create_client(bob, "ann@example.org")
    for option in (["--list", "Bob's"], ["--client", "ann@example.org"]):
        with pytest.raises(CommandError, match="The owner has no"):
            create(*option)


def test_what_its_writer_should_know_is_told_beside_the_number(friends, alice, capsys, tmp_path):
    verbs.create_client(alice, "nobody@example.org")
    (tmp_path / "news.html").write_text("<p>Hello</p>")
    call_command(
        "create_mailing", "--owner", "alice@example.org", "--subject", "For {{ full_name }}", "--list", "Friends",
        "--html", str(tmp_path / "news.html"),
    )  # fmt: skip
    printed = capsys.readouterr()
    assert printed.out.strip().isdecimal()
    assert "no plain text goes along" in printed.err
    assert "1 of 1 client has no full_name" in printed.err

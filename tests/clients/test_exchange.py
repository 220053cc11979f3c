"""What is exported and imported again is as it was: whatever names, comments and attributes hold."""

import io

import pytest
from django.core.exceptions import ValidationError
from django.test import Client as Browser
from django.urls import reverse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vestnik.accounts.models import User
from vestnik.clients import attributes, verbs
from vestnik.clients.attributes import key
from vestnik.clients.import_files import Rejected, import_file
from vestnik.clients.importing import import_clients
from vestnik.clients.models import Client

FIELDS = ("email", "full_name", "name_key", "comment", "attributes")

# Everything that PostgreSQL can hold; of a name, what may stand in a header. U+FFFD says that a text has lost letters,
# and is refused in a file.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufffd"), max_size=40)
TRICKY = st.text("=+-@＝＋－＠;,|\t\r\n\"' 1xЖ", max_size=16)
NAME = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters="\ufffd"), max_size=40
) | st.text("=+-@＝＋－＠;,|\"' 1xЖ", max_size=16)
ATTRIBUTE = st.from_regex(r"[A-Za-zА-Яа-яёßİıſéﬁ_][\wАß]{0,8}", fullmatch=True).filter(str.isidentifier)
MEANING = st.sampled_from(
    [
        "name",
        "First_Name",
        "Имя",
        "Фамилия",
        "email",
        "mail",
        "почта",
        "comment",
        "note",
        "status",
        "full_name",
        "ФИО",
        "refused_line",
        "Name_2",
        "адрес",
    ]
)


def exported(owner: User, language: str) -> bytes:
    User.objects.filter(pk=owner.pk).update(language=language)
    browser = Browser()
    browser.force_login(owner)
    return b"".join(browser.get(reverse("clients:export")))  # type: ignore[arg-type]


def stored(owner: User) -> list[dict]:
    return list(Client.objects.filter(owner=owner).order_by("email").values(*FIELDS))


@pytest.fixture
def carol(db) -> User:
    return User.objects.create_user("carol@example.org")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people=st.lists(
        st.tuples(NAME, TEXT | TRICKY, st.dictionaries(ATTRIBUTE | MEANING, TEXT | TRICKY, max_size=3)), max_size=4
    ),
    language=st.sampled_from(["en", "ru"]),
)
@example(people=[("=1+1", "'=x", {"City": "\t=1"}), (" Ann", "a\r\nb\n", {"city": "x"})], language="ru")
@example(people=[('"', '"a", "b"', {"A": "a;b|c"}), ("'", "\n\n", {"ａ": "-"})], language="en")
def test_an_export_imported_again_is_what_it_was(alice, carol, people, language):
    Client.objects.all().delete()
    for number, (name, comment, own) in enumerate(people):
        own = {key(name): (name, text) for name, text in own.items()}  # two spellings at once are refused
        own = dict(own.values())
        verbs.create_client(alice, f"c{number}@example.org", full_name=name, comment=comment, attributes=own)
    before = stored(alice)
    content = exported(alice, language)

    again = import_clients(alice, io.BytesIO(content))
    assert (again.created, again.updated, again.unchanged, again.refused) == (0, 0, len(people), 0)
    assert stored(alice) == before
    elsewhere = import_clients(carol, io.BytesIO(content))
    assert (elsewhere.created, elsewhere.refused) == (len(people), 0)
    assert stored(carol) == before
    Client.objects.filter(owner=carol).delete()


@pytest.mark.parametrize("line", ["x\n", "-x\n", "=\n", "\n=\n", '"\n', "\n", "';-\n", "\r\n"])
def test_a_comment_of_many_lines_comes_back(alice, carol, line):
    comment, text = ("a" + line * (length // len(line)) + "y" for length in (9_990, 1_990))
    verbs.create_client(alice, "a@example.org", comment=comment, attributes={"a": text})
    report = import_clients(carol, io.BytesIO(exported(alice, "en")))
    assert (report.created, report.refused) == (1, 0)
    assert stored(carol) == stored(alice)


def test_an_owner_with_as_many_attributes_as_one_may_have_can_export_and_import_them(alice, carol):
    names = [f"{number}".rjust(attributes.NAME_LENGTH, "ж") for number in range(attributes.MOST_NAMES)]
    for first in range(0, len(names), 100):
        own = dict.fromkeys(names[first : first + 100], "-x;y")
        verbs.create_client(alice, f"c{first}@example.org", full_name="Ж" * 200, comment="-\n" * 4_999, attributes=own)
    with pytest.raises(ValidationError):
        verbs.create_client(alice, "more@example.org", attributes={"more": "x"})
    content = exported(alice, "en")
    report = import_clients(carol, io.BytesIO(content))
    assert (report.created, report.refused) == (len(names) // 100, 0)
    assert stored(carol) == stored(alice)
    # So is a file of its refused rows, which has two columns more.
    refused = Rejected(io.BytesIO)
    again = content.replace(b'"c100@example.org"', b'"c100 example.org"')
    import_file(carol, io.BytesIO(again), refused)
    report = import_clients(carol, io.BytesIO(refused.file.getvalue().replace(b"c100 ", b"d100@")))
    assert (report.created, report.refused) == (1, 0)


def test_an_export_of_two_spellings_imports_as_one(alice):
    """As the version before wrote it, which had both."""
    import_clients(alice, io.BytesIO(b"email,City,city\na@example.org,Oslo,\nb@example.org,,Rome\n"))
    assert [client["attributes"] for client in stored(alice)] == [{"City": "Oslo"}, {"city_2": "Rome"}]


@pytest.mark.parametrize(("language", "separator"), [("en", b","), ("ru", b";")])
def test_exports_open_in_the_spreadsheet_of_the_readers_language(alice, language, separator):
    verbs.create_client(alice, "a@example.org", full_name="Анна")
    content = exported(alice, language)
    assert content.startswith(b"\xef\xbb\xbf" + separator.join([b'"email"', b'"full_name"', b'"comment"']))

"""The pages on which files of clients are imported."""

import re
import uuid
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from vestnik.accounts.models import User
from vestnik.clients import import_jobs, verbs
from vestnik.clients.models import Client, ClientImport, ClientList, ImportPiece
from vestnik.testing.factories import make_import

pytestmark = pytest.mark.usefixtures("valkey")

GOOD = "email;ФИО;Город\nanna@example.org;Анна;Осло\nboris@example.org;Борис;\n"
SCRIPT = "<script>alert(1)</script>"
HTMX = {"HX-Request": "true"}


def browser_of(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def browser(alice: User) -> Browser:
    return browser_of(alice)


def filled(text: str | bytes = GOOD, name: str = "clients.csv", **fields: Any) -> dict[str, Any]:
    content = text.encode() if isinstance(text, str) else text
    return {"file": SimpleUploadedFile(name, content), "form_key": uuid.uuid4(), **fields}


def taken(browser: Browser, text: str | bytes = GOOD, **fields: Any) -> ClientImport:
    answer = browser.post(reverse("clients:import"), filled(text, **fields))
    work = ClientImport.objects.latest("pk")
    assert answer["Location"] == reverse("clients:import-detail", args=[work.pk])
    return work


def begin(browser: Browser, work: ClientImport, **said: str) -> Any:
    reading = {"encoding": work.encoding, "delimiter": work.delimiter} | said
    return browser.post(reverse("clients:import-begin", args=[work.pk]), reading)


def uploaded(browser: Browser, text: str = GOOD, **fields: Any) -> ClientImport:
    work = taken(browser, text, **fields)
    assert begin(browser, work)["Location"] == reverse("clients:import-detail", args=[work.pk])
    work.refresh_from_db()
    return work


def imported(browser: Browser, text: str = GOOD, **fields: Any) -> ClientImport:
    work = uploaded(browser, text, **fields)
    import_jobs.run_import(work.pk)
    work.refresh_from_db()
    return work


def page_of(browser: Browser, work: ClientImport, **headers: str) -> str:
    return browser.get(reverse("clients:import-detail", args=[work.pk]), headers=headers).content.decode()


# Taking a file


def test_a_file_is_imported_onto_a_new_list(browser: Browser, alice: User) -> None:
    work = imported(browser, list_name="Friends")

    friends = ClientList.objects.get()
    assert (friends.owner, friends.name, friends.clients.count()) == (alice, "Friends", 2)
    page = page_of(browser, work)
    assert "2 clients are new on the list" in page
    assert reverse("lists:detail", args=[friends.pk]) in page


def test_a_file_is_imported_onto_a_list_that_is_there(browser: Browser, alice: User) -> None:
    friends = verbs.create_list(alice, "Friends")
    asking = browser.get(reverse("clients:import"), {"list": friends.pk}).content.decode()
    assert f'<option value="{friends.pk}" selected>' in asking
    imported(browser, client_list=friends.pk)

    assert friends.clients.count() == 2


def test_a_double_click_imports_once(browser: Browser) -> None:
    key = uuid.uuid4()
    first, second = (browser.post(reverse("clients:import"), filled(form_key=key)) for _ in range(2))

    assert ClientImport.objects.count() == 1
    assert first["Location"] == second["Location"]


@pytest.mark.parametrize(
    ("field", "form"),
    [
        ("file", {"file": ""}),
        ("file", {"file": SimpleUploadedFile("empty.csv", b"")}),
        ("list_name", {"list_name": "x" * 10_000}),
        ("list_name", {"list_name": "a\x00"}),
        ("list_name", {"list_name": "a\u2028b"}),
        ("client_list", {"client_list": "999999"}),
        ("client_list", {"client_list": "x"}),
    ],
)
def test_what_is_wrong_stands_beside_its_field(browser: Browser, field: str, form: dict[str, Any]) -> None:
    answer = browser.post(reverse("clients:import"), filled() | form)

    assert answer.status_code == 200
    assert answer.context["form"].errors[field]
    assert not ClientImport.objects.exists()


def test_two_lists_or_a_strangers_are_refused(browser: Browser, alice: User, bob: User) -> None:
    friends, foes = verbs.create_list(alice, "Friends"), verbs.create_list(bob, "Foes")
    both = browser.post(reverse("clients:import"), filled(client_list=friends.pk, list_name="More"))
    strange = browser.post(reverse("clients:import"), filled(client_list=foes.pk))

    assert "not both" in str(both.context["form"].errors["list_name"])
    assert strange.context["form"].errors["client_list"]


def test_a_file_beyond_the_limit_is_refused_with_a_sentence(browser: Browser, settings: Any) -> None:
    settings.IMPORT_LIMIT_BYTES = 3 << 20  # more than is held in memory, less than the file
    answer = browser.post(reverse("clients:import"), filled("email\n" + "x" * (4 << 20)))

    assert "The file has 5 MB; at most 3 MB can be imported at once." in answer.content.decode()
    assert not ImportPiece.objects.exists()


@pytest.mark.parametrize("name", [SCRIPT + ".csv", "клиенты.csv", "\u202evsc.exe", "x" * 10_000, "👩‍👩‍👧.csv"])
def test_files_may_be_called_anything(browser: Browser, name: str) -> None:
    work = imported(browser, name=name)

    for page in (page_of(browser, work), browser.get(reverse("clients:imports")).content.decode()):
        assert "<script>alert" not in page
        assert str(work) in page.replace("&lt;", "<").replace("&gt;", ">")


# What was read


def test_what_was_read_is_shown_before_anything_is_imported(browser: Browser) -> None:
    rows = "".join(f"client{number}@example.org;Имя {number};{SCRIPT}\n" for number in range(20))
    work = taken(browser, "email;ФИО;Город;unsubscribed\n" + rows)

    page = page_of(browser, work)
    assert "Nothing is imported yet" in page
    for said in ("UTF-8", "semicolon", "e-mail address", "full name", "attribute Город", "Имя 0", "Имя 9"):
        assert said in page
    assert "Имя 10" not in page
    assert "“unsubscribed”" in page
    assert SCRIPT not in page
    assert "not certain" not in page
    import_jobs.run_import(work.pk)
    assert not Client.objects.exists()


def test_where_the_encoding_is_not_certain_it_is_said_and_can_be_chosen(browser: Browser) -> None:
    work = taken(browser, "email;full name\nlukasz@example.org;Łukasz Wójcik\n".encode("cp1250"))
    page = page_of(browser, work)
    assert "not certain in which encoding" in page
    assert "Łukasz Wójcik" in page
    other = browser.get(reverse("clients:import-detail", args=[work.pk]), {"encoding": "cp1251", "delimiter": ";"})
    assert "Јukasz Wуjcik" in other.content.decode()
    assert not Client.objects.exists()
    begin(browser, work, encoding="cp1250")
    import_jobs.run_import(work.pk)
    assert Client.objects.get().full_name == "Łukasz Wójcik"


def test_another_separator_can_be_chosen(browser: Browser) -> None:
    work = taken(browser, "email,name;city\nanna@example.org,Anna;Oslo\n")
    answer = browser.get(reverse("clients:import-detail", args=[work.pk]), {"delimiter": ";"})
    assert "anna@example.org,Anna" in answer.content.decode()


def test_a_file_without_a_column_of_addresses_says_so_and_is_not_imported(browser: Browser) -> None:
    work = taken(browser, f"{SCRIPT};name\nx;y\n")

    for page in (page_of(browser, work), begin(browser, work).content.decode()):
        assert "No column is called “email”" in page
        assert "<script>alert" not in page
    assert not Client.objects.exists()


@pytest.mark.parametrize(
    "said", [{"encoding": ""}, {"encoding": "rot13"}, {"encoding": "cp1251" * 1000}, {"delimiter": "x"}]
)
def test_what_no_file_can_be_read_as_is_refused(browser: Browser, said: dict[str, str]) -> None:
    work = taken(browser)

    assert begin(browser, work, **said).status_code == 200
    assert browser.get(reverse("clients:import-detail", args=[work.pk]), said).status_code == 200
    work.refresh_from_db()
    assert work.state == "asked"


@pytest.mark.parametrize("page", ["the file's", "a refusal's"])
def test_how_a_file_is_read_is_chosen_on_every_page_of_it_and_the_address_says_no_more(
    browser: Browser, page: str
) -> None:
    work = taken(browser, "email,name;city\nanna@example.org,Anna;Oslo\n")
    there = reverse("clients:import-detail", args=[work.pk])
    shown = page_of(browser, work) if page == "the file's" else begin(browser, work, delimiter="x").content.decode()
    [form] = re.findall(r'<form class="card mb-3".*?</form>', shown, re.DOTALL)
    assert "formmethod" not in form
    [address] = re.findall('action="([^"]*)"', form.partition(">")[0])
    sent = {"csrfmiddlewaretoken": "x" * 64, "encoding": "utf-8", "delimiter": ";", "look": "1"}
    answer = browser.post(address, sent)

    assert answer["Location"] == f"{there}?encoding=utf-8&delimiter=%3B"
    assert "anna@example.org,Anna" in browser.get(answer["Location"]).content.decode()
    work.refresh_from_db()
    assert work.state == "asked"


def test_a_file_that_is_imported_already_is_not_said_to_be_forgotten(browser: Browser) -> None:
    work = uploaded(browser)
    answer = browser.post(reverse("clients:import-forget", args=[work.pk]), follow=True)

    assert "Nothing was imported" not in answer.content.decode()
    assert "already: the file is not forgotten" in answer.content.decode()
    assert ClientImport.objects.exists()


def test_a_file_that_was_looked_at_can_be_forgotten(browser: Browser) -> None:
    work = taken(browser)
    answer = browser.post(reverse("clients:import-forget", args=[work.pk]))

    assert answer["Location"] == reverse("clients:imports")
    assert not ClientImport.objects.exists()


def test_what_is_no_table_is_refused_beside_the_field(browser: Browser) -> None:
    answer = browser.post(reverse("clients:import"), filled(b"\x89PNG\r\n\0\0"))

    assert "binary" in str(answer.context["form"].errors["file"])
    assert not ClientImport.objects.exists()


# What became of it


def test_an_import_is_looked_at_until_it_is_over(browser: Browser) -> None:
    work = uploaded(browser)
    waiting = page_of(browser, work)
    assert 'hx-trigger="every 1s"' in waiting
    assert "waits for its turn" in waiting

    ClientImport.objects.filter(pk=work.pk).update(state="running")
    assert "is being read" in page_of(browser, work)
    cache.set(f"vestnik:import:{work.pk}", 12_000)
    running = page_of(browser, work, **HTMX)
    assert "12,000 rows are read" in running
    assert "<html" not in running

    import_jobs.run_import(work.pk)
    over = page_of(browser, work, **HTMX)
    assert "hx-get" not in over
    assert "New clients" in over


def test_a_file_that_was_refused_says_why(browser: Browser) -> None:
    work = uploaded(browser, f"email;{SCRIPT}\nx;y\n")
    ClientImport.objects.filter(pk=work.pk).update(tries=3)
    import_jobs.run_import(work.pk)

    page = page_of(browser, work)
    assert "Nothing was imported" in page
    assert "broken off 3 times" in page
    assert "hx-get" not in page


def test_refused_rows_are_shown_with_their_reasons(browser: Browser) -> None:
    bad = "".join(f"{SCRIPT}{number};Anna;Oslo\n" for number in range(60))
    work = imported(browser, GOOD + bad)

    answer = browser.get(reverse("clients:import-detail", args=[work.pk]))
    rows = answer.context["refused_rows"]
    assert len(rows) == 50
    assert rows[0][0] == "4"
    assert rows[0][2] == f"{SCRIPT}0;Anna;Oslo"
    assert "<script>alert" not in answer.content.decode()


@pytest.mark.parametrize(
    "bad",
    [
        'email,name\n"a@example.org,never closed\n',
        "email\tname\nx\ty\tz\tmore\n",
        "email\n" + "x" * 200_000 + "\n",
        'email,name\nno address,"two\nlines"\n',
        "email,name\n=1+1,x\n",
        "email,name\nx," + "👩‍👩‍👧" * 5000 + "\n",
    ],
)
def test_broken_rows_are_shown_and_downloaded(browser: Browser, bad: str) -> None:
    work = imported(browser, bad)

    assert work.refused == 1
    assert page_of(browser, work)
    answer = browser.get(reverse("clients:refused", args=[work.pk]))
    content = b"".join(answer).decode("utf-8-sig")  # type: ignore[arg-type]
    assert content.startswith('"refused line"')
    assert answer["Content-Disposition"] == f'attachment; filename="refused-rows-{work.pk}.csv"'


def test_more_refused_rows_than_a_piece_holds_are_all_downloaded(browser: Browser) -> None:
    work = imported(browser, "email,name\n" + ("x," + "й" * 190 + "\n") * 4000)
    with CaptureQueriesContext(connection):
        answer = browser.get(reverse("clients:refused", args=[work.pk]))
        content = b"".join(answer)  # type: ignore[arg-type]

    assert len(content) > 1 << 20
    assert content.count(b"\n") == 4001
    assert len(browser.get(reverse("clients:import-detail", args=[work.pk])).context["refused_rows"]) == 50


def test_refused_rows_that_are_not_kept_any_more_are_not_offered(browser: Browser) -> None:
    work = imported(browser, GOOD + "nobody;;\n")
    work.pieces.all().delete()

    page = page_of(browser, work)
    assert "are not there any more" in page
    assert reverse("clients:refused", args=[work.pk]) not in page
    assert browser.get(reverse("clients:refused", args=[work.pk])).status_code == 404


def test_what_is_to_be_known_of_an_import_is_said(browser: Browser) -> None:
    work = imported(browser, "email;status\nanna@example.org;active\nANNA@example.org;unsubscribed\n")

    page = page_of(browser, work)
    assert "1 row has an address that another row has, too" in page
    assert "“status”" in page


def test_a_list_that_was_deleted_since_is_not_linked(browser: Browser) -> None:
    work = imported(browser, list_name="Friends")
    verbs.delete_list(ClientList.objects.get())

    assert "is new on the list" not in page_of(browser, work)


# Past imports


def test_past_imports_are_listed_and_found(browser: Browser) -> None:
    imported(browser, name="spring.csv")
    imported(browser, name="autumn.csv")

    found = browser.get(reverse("clients:imports")).context["object_list"]
    assert [work.file_name for work in found] == ["autumn.csv", "spring.csv"]
    found = browser.get(reverse("clients:imports"), {"q": "SPRING"}).context["object_list"]
    assert [work.file_name for work in found] == ["spring.csv"]


def test_a_page_of_imports_takes_the_same_queries_however_many_there_are(
    browser: Browser, alice: User, settings: Any
) -> None:
    settings.IMPORTS_AT_ONCE = 30
    make_import(alice, [b"email\n"], "one.csv")
    browser.get(reverse("clients:imports"))  # notes when the user was seen
    with CaptureQueriesContext(connection) as few:
        browser.get(reverse("clients:imports"))
    for _number in range(29):
        make_import(alice, [b"email\n"], "more.csv")
    with CaptureQueriesContext(connection) as many:
        answer = browser.get(reverse("clients:imports"))

    assert len(answer.context["object_list"]) == 30
    assert len(many) == len(few)


# Who may


def test_a_strangers_import_does_not_exist(browser: Browser, bob: User) -> None:
    work = imported(browser, GOOD + "nobody;;\n")
    stranger = browser_of(bob)

    assert stranger.get(reverse("clients:import-detail", args=[work.pk])).status_code == 404
    assert stranger.get(reverse("clients:import-detail", args=[work.pk]), headers=HTMX).status_code == 404
    assert stranger.get(reverse("clients:refused", args=[work.pk])).status_code == 404
    assert begin(stranger, work).status_code == 404
    assert stranger.post(reverse("clients:import-forget", args=[work.pk])).status_code == 404
    assert "clients.csv" not in stranger.get(reverse("clients:imports")).content.decode()


def test_what_is_exported_can_be_imported_again(browser: Browser, alice: User) -> None:
    verbs.create_client(alice, "anna@example.org", full_name="Анна", comment="two\nlines", attributes={"city": "Oslo"})
    before = list(Client.objects.values("email", "full_name", "comment", "attributes"))
    content = b"".join(browser.get(reverse("clients:export"))).decode()  # type: ignore[arg-type]
    Client.objects.all().delete()
    work = imported(browser, content)

    assert work.created == 1
    assert list(Client.objects.values("email", "full_name", "comment", "attributes")) == before

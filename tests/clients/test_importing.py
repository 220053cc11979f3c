"""Files of clients: what is read out of them, what is refused, and what the database holds afterwards."""

import csv
import io
import time
from contextlib import suppress

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.timing import in_time
from vestnik.clients import csv_files, importing, verbs
from vestnik.clients.importing import ImportRefused, ImportReport, import_clients
from vestnik.clients.models import Client, name_key


def sheet(text: str, encoding: str = "utf-8") -> io.BytesIO:
    return io.BytesIO(text.encode(encoding))


def clients(owner) -> dict[str, Client]:
    return {client.email: client for client in Client.objects.filter(owner=owner)}


@pytest.fixture
def refused():
    """What an import refused: pass `refused.append` by way of `note(refused)`."""
    return []


def note(refused):
    return lambda line, cells, reason: refused.append((line, cells, reason))


# What a file means


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_encoding_and_the_delimiter_are_found_out(alice, encoding, delimiter):
    text = "E-Mail,ФИО,Примечание,Город\r\nivan@example.org,Иван Ёлкин,друг,Москва\r\n".replace(",", delimiter)
    assert import_clients(alice, sheet(text, encoding)) == ImportReport(1, 0, 0, 0, 0)
    client = Client.objects.get(owner=alice)
    assert (client.email, client.full_name, client.comment) == ("ivan@example.org", "Иван Ёлкин", "друг")
    assert client.attributes == {"Город": "Москва"}
    assert client.name_key == "иван елкин"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("email,full_name", "Ann"),
        ("E-mail,Full Name", "Ann"),
        (" MAIL , name ", "Ann"),
        ("Почта,Имя", "Ann"),
        ("Эл. почта,Имя и фамилия", "Ann"),
        ("Адрес,ФИО", "Ann"),
        ("Адрес электронной почты,Полное имя", "Ann"),
        ("Email Address,First Name", "Ann"),
    ],
)
def test_headers_are_understood_in_both_languages(alice, header, name):
    import_clients(alice, sheet(f"{header}\nann@example.org,Ann\n"))
    assert [(c.email, c.full_name, c.attributes) for c in clients(alice).values()] == [("ann@example.org", name, {})]


def test_a_name_in_parts_is_put_together_in_the_order_of_the_file(alice):
    import_clients(alice, sheet("first_name,last_name,email\nIvan,Petrov,i@example.org\n,Ivanova,a@example.org\n"))
    import_clients(alice, sheet("фамилия;имя;отчество;почта\nПетров;Пётр;Ильич;p@example.org\n"))
    names = {email: client.full_name for email, client in clients(alice).items()}
    assert names == {"i@example.org": "Ivan Petrov", "a@example.org": "Ivanova", "p@example.org": "Петров Пётр Ильич"}


def test_beside_a_full_name_its_parts_are_attributes(alice):
    import_clients(alice, sheet("email,ФИО,Имя\nivan@example.org,Иван Петров,Ваня\n"))
    client = Client.objects.get(owner=alice)
    assert (client.full_name, client.attributes) == ("Иван Петров", {"Имя": "Ваня"})


def test_beside_an_email_an_address_is_an_attribute(alice):
    import_clients(alice, sheet("адрес;email\nул. Ленина, 1;ivan@example.org\n"))
    assert Client.objects.get(owner=alice).attributes == {"адрес": "ул. Ленина, 1"}


def test_other_columns_become_attributes_whose_names_a_message_can_name(alice):
    import_clients(alice, sheet("email,Дата рождения,2nd-phone,City (home),\nann@example.org,1990,555,Oslo,lost\n"))
    assert Client.objects.get(owner=alice).attributes == {
        "Дата_рождения": "1990",
        "_2nd_phone": "555",
        "City_home": "Oslo",
    }


def test_what_is_imported_could_have_been_typed_in(alice):
    import_clients(alice, sheet("email,name,note,Дата рождения\nIVAN@Пример.РФ, Иван ,x,1990\n"))
    client = Client.objects.get(owner=alice)
    client.full_clean()
    assert client.email == "ivan@xn--e1afmkfd.xn--p1ai"
    assert client.name_key == name_key("Иван")
    assert client.created_at is not None


def test_blank_rows_are_passed_over_and_short_ones_filled_up(alice, refused):
    text = "\n\nemail,name,comment\n\nann@example.org\n, ,\n  \nbob@example.org,Bob\ncat@example.org,Cat,,,\n"
    report = import_clients(alice, sheet(text), on_refused=note(refused))
    assert (report.created, refused) == (3, [])


def test_cells_may_hold_delimiters_quotes_and_in_comments_line_breaks(alice):
    import_clients(alice, sheet('email,name,comment\nann@example.org,"Ann ""A"", Esq.","one\r\ntwo"\n'))
    client = Client.objects.get(owner=alice)
    assert (client.full_name, client.comment) == ('Ann "A", Esq.', "one\r\ntwo")


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_line_end_ends_a_line(alice, line_end):
    assert import_clients(alice, sheet(line_end.join(["email", "a@example.org", "b@example.org"]))).created == 2


# Importing again


def test_an_empty_cell_keeps_what_is_there(alice):
    import_clients(alice, sheet("email,name,comment,city,size\nann@example.org,Ann,friend,Oslo,M\n"))
    report = import_clients(alice, sheet("email,name,comment,city,shoe\nANN@example.org,,,Rome,39\n"))
    assert report == ImportReport(created=0, updated=1, unchanged=0, refused=0, listed=0)
    client = Client.objects.get(owner=alice)
    assert (client.full_name, client.comment, client.name_key) == ("Ann", "friend", "ann")
    assert client.attributes == {"city": "Rome", "size": "M", "shoe": "39"}


def test_the_same_file_again_changes_nothing(alice):
    text = "email,name,city\nann@example.org,Ann,Oslo\nbob@example.org,,\n"
    import_clients(alice, sheet(text))
    before = list(Client.objects.order_by("pk").values_list("pk", "updated_at"))
    assert import_clients(alice, sheet(text)) == ImportReport(0, 0, 2, 0, 0)
    assert list(Client.objects.order_by("pk").values_list("pk", "updated_at")) == before


def test_a_changed_name_changes_what_it_is_found_by(alice):
    verbs.create_client(alice, "ann@example.org", full_name="Ann")
    import_clients(alice, sheet("email,name\nann@example.org,ЁЖ\n"))
    assert Client.objects.get(owner=alice).name_key == "еж"


def test_of_equal_addresses_the_last_row_wins_cell_by_cell(alice):
    text = (
        "email,name,comment,city,size\nann@example.org,Ann,first,Oslo,M\nbob@example.org,Bob,,,\n"
        "Ann@Example.org,Anna,,Rome,\nann@example.org,,last,,\n"
    )
    assert import_clients(alice, sheet(text)) == ImportReport(2, 0, 0, 0, 0, repeated=2)
    client = clients(alice)["ann@example.org"]
    assert (client.full_name, client.name_key, client.comment) == ("Anna", "anna", "last")
    assert client.attributes == {"city": "Rome", "size": "M"}


def test_another_owners_clients_are_not_touched(alice, bob):
    verbs.create_client(bob, "ann@example.org", full_name="Bob's Ann")
    import_clients(alice, sheet("email,name\nann@example.org,Ann\n"))
    assert clients(bob)["ann@example.org"].full_name == "Bob's Ann"


def test_clients_are_put_on_the_list_once_whether_new_or_known(alice):
    friends = verbs.create_list(alice, "Friends")
    known = verbs.create_client(alice, "ann@example.org", [friends])
    verbs.create_client(alice, "bob@example.org")
    text = "email\nann@example.org\nbob@example.org\ncat@example.org\nCat@example.org\n"
    report = import_clients(alice, sheet(text), lambda: friends)
    assert (report.created, report.unchanged, report.listed) == (1, 2, 2)
    assert known in friends.clients.all()
    assert friends.clients.count() == 3


def test_somebody_elses_list_is_refused(alice, bob):
    with pytest.raises(ValidationError, match="not the owner's"):
        import_clients(alice, sheet("email\nann@example.org\n"), lambda: verbs.create_list(bob, "Foes"))
    assert not Client.objects.exists()


# Bad rows


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("ann.example.org,Ann", "@"),
        (f"{'a' * 65}@example.org,Ann", "too long"),
        (f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.{'f' * 60}.org,Ann", "too long"),
        ("ann@example.org bob@example.org,Ann", ""),
        (",Ann", "no e-mail address"),
        (f"ann@example.org,{'A' * 201}", "too long"),
        ('ann@example.org,"Ann\r\nBcc: all@example.org"', "Line breaks"),
        ("ann@example.org,An\x07n", "control characters"),
        ("ann@example.org,Ann,Archer", "3 cells"),
        ('ann@example.org,"Ann" Archer', "quote"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_reason_and_the_good_are_kept(alice, refused, row, reason):
    text = f"email,name\nbob@example.org,Bob\n{row}\ncat@example.org,Cat\n"
    report = import_clients(alice, sheet(text), on_refused=note(refused))
    assert (report.created, report.refused) == (2, 1)
    [(line, cells, said)] = refused
    assert line == 3
    assert len(cells) >= 2
    assert reason in said
    assert said.endswith((".", ")"))


@pytest.mark.parametrize("unclosed", ['"Ann,ann@example.org', 'ann@example.org,"Ann'])
@pytest.mark.parametrize("after", [0, 3, 1000])
def test_a_quote_that_is_not_closed_costs_its_own_row_only(alice, refused, unclosed, after):
    good = "".join(f"c{n}@example.org,C\n" for n in range(after))
    report = import_clients(alice, sheet(f"email,name\n{unclosed}\n{good}"), on_refused=note(refused))
    assert report.created == after
    assert [(line, "quote" in reason) for line, _cells, reason in refused] == [(2, True)]


def test_line_numbers_stay_right_behind_rows_of_many_lines(alice, refused):
    text = 'email,comment\na@example.org,"one\ntwo\nthree"\nbad\n"open,x\nworse\n'
    import_clients(alice, sheet(text), on_refused=note(refused))
    assert [line for line, _cells, _reason in refused] == [5, 6, 7]


def test_a_cell_without_measure_is_refused(alice, refused):
    text = f"email,comment\nann@example.org,{'x' * 140_000}\nbob@example.org,\n"
    report = import_clients(alice, sheet(text), on_refused=note(refused))
    assert (report.created, report.refused) == (1, 1)
    assert "longer than" in refused[0][2]


# Bad files


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"\n \r\n\t\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "binary"),
        (b"email\n\x98\xff", "not certain"),
        (b"name,city\nAnn,Oslo\n", "“name”, “city”"),
        (b"ann@example.org\nbob@example.org\n", "“ann@example.org”"),
        (b"email," + b"x," * 2004 + b"\n", "2006 columns; at most 2005"),
        (b'"email,name\n', "header line"),
        (b"email\n" + b"x" * 3_000_000, "longer than a megabyte"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused_in_one_sentence(alice, content, sentence):
    with pytest.raises(ImportRefused) as refusal:
        import_clients(alice, io.BytesIO(content))
    [said] = refusal.value.messages
    assert sentence in said
    assert not Client.objects.exists()


def test_a_failure_half_way_leaves_nothing(alice, monkeypatch):
    friends = verbs.create_list(alice, "Friends")
    monkeypatch.setattr(importing, "MERGE_MEMBERSHIPS", "SELECT 1 / (%s - %s) FROM nowhere")
    with pytest.raises(Exception, match="nowhere"):
        import_clients(alice, sheet("email\nann@example.org\n"), lambda: friends)
    assert not Client.objects.exists()


def test_a_failure_while_rows_are_read_leaves_nothing(alice):
    def fail(*_row):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        import_clients(alice, sheet("email\nann@example.org\nbad\n"), on_refused=fail)
    assert not Client.objects.exists()
    assert import_clients(alice, sheet("email\nann@example.org\n")).created == 1


def test_refused_rows_mended_and_imported_again_lose_their_first_two_columns(alice):
    text = "refused line,refused because,email,name,phone\n3,No @.,ann@example.org,'=Ann,'+47 22\n"
    import_clients(alice, sheet(text))
    client = Client.objects.get(owner=alice)
    assert (client.full_name, client.attributes) == ("=Ann", {"phone": "+47 22"})


# At length


@pytest.mark.django_db(transaction=True)
def test_a_file_for_a_list_takes_seconds_though_the_tables_were_large_once_and_were_found_empty_last(alice):
    """So it is after everything was deleted: of 40,000 clients each was compared with each."""
    friends = verbs.create_list(alice, "Friends")

    def imported(kind):
        rows = "".join(f"{kind}{n}@example.org,Name {n}\n" for n in range(40_000))
        return import_clients(alice, sheet("email,name\n" + rows), find_list=lambda: friends)

    imported("before")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM clients_membership; DELETE FROM clients_client; ANALYZE clients_client")
    began = time.monotonic()
    assert imported("after").listed == 40_000
    in_time(time.monotonic() - began, 15)


def test_many_rows_take_a_handful_of_statements(alice, django_assert_max_num_queries):
    rows = "".join(f"c{n}@example.org,Имя {n},{n}\n" for n in range(20_000))
    progress = []
    with django_assert_max_num_queries(15):
        report = import_clients(alice, sheet("email,name,size\n" + rows), on_progress=progress.append)
    assert report.created == 20_000
    assert progress == [5000, 10_000, 15_000, 20_000]


def test_the_source_stays_open_and_the_temporary_table_goes(alice):
    source = sheet("email\nann@example.org\n")
    import_clients(alice, source)
    assert not source.closed
    assert "incoming_clients" not in connection.introspection.table_names()


# Any text at all

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=30)
LINES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, LINES), max_size=8),
    delimiter=st.sampled_from(",;\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_whatever_csv_can_hold_comes_back_as_it_was(rows, delimiter, encoding, quoting):
    written = [[f"c{n}@example.org", *row] for n, row in enumerate(rows)]
    assert read(write(written, delimiter, quoting).encode(encoding)) == written


@settings(max_examples=100, deadline=None)
@given(
    names=st.lists(st.text(st.characters(codec="cp1251", exclude_characters="\0\r\n"), max_size=20), max_size=8),
    delimiter=st.sampled_from(",;\t"),
)
def test_names_in_cp1251_come_back_as_they_were(names, delimiter):
    written = [[f"c{n}@example.org", name, "Ёлка №1"] for n, name in enumerate(names)]
    content = write(written, delimiter, csv.QUOTE_MINIMAL).encode("cp1251")
    assert read(content, "cp1251") == written


@settings(max_examples=300, deadline=None)
@given(rows=st.text(st.sampled_from('ab@.,"\r\n '), max_size=60))
def test_no_text_makes_the_reader_fail_or_lose_a_line(rows):
    with csv_files.opened(io.BytesIO(b"email,name,comment\n" + rows.encode())) as opened:
        found = list(opened.rows())
    lines = io.StringIO(rows, newline="").readlines()
    assert [row.line for row in found] == sorted({row.line for row in found})
    assert all(1 < row.line <= len(lines) + 1 for row in found)
    for row in found:
        assert row.cells[0].strip('"')[:1] in lines[row.line - 2]


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=60))
def test_no_file_at_all_makes_the_reader_fail(content):
    for start in (b"", b"email\n"):
        with suppress(ImportRefused), csv_files.opened(io.BytesIO(start + content)) as opened:
            list(opened.rows())


def write(rows, delimiter, quoting) -> str:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, quoting=quoting)
    writer.writerows([["Почта", "ФИО", "Примечание"], *rows])
    return written.getvalue()


def read(content: bytes, encoding: str = "") -> list[list[str]]:
    with csv_files.opened(io.BytesIO(content), encoding) as opened:
        assert (opened.columns.email, opened.columns.full_name, opened.columns.comment) == (0, (1,), 2)
        rows = list(opened.rows())
    assert not any(row.fault for row in rows)
    return [row.cells for row in rows]

"""Which line of a file names the columns, and in which of them the addresses stand: told, and never at others' cost."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestnik.clients import csv_files, headers, verbs
from vestnik.clients.attributes import named
from vestnik.clients.csv_files import ImportRefused
from vestnik.clients.importing import import_clients
from vestnik.clients.models import Client


def imported(owner, text: str):
    refused = []
    report = import_clients(owner, io.BytesIO(text.encode()), on_refused=lambda *row: refused.append(row))
    return report, {client.email: client for client in Client.objects.filter(owner=owner)}, refused


def look(text: str) -> csv_files.Look:
    return csv_files.look(io.BytesIO(text.encode()))


# What stands below a header is data


@pytest.mark.parametrize("second", ["email;name", "Email;Name", "name;email", "E-mail;ФИО;Город"])
@pytest.mark.parametrize("rows", [1, 30, 50])
def test_of_two_files_pasted_together_nobody_is_passed_over(alice, second, rows):
    first = "".join(f"a{number}@example.org;Anna\n" for number in range(rows))
    report, found, refused = imported(alice, f"email;name\n{first}{second}\nc@example.org;Cyril\n")
    assert (report.created, len(found), report.remarks) == (rows + 1, rows + 1, ())
    assert [line for line, _cells, _reason in refused] == [rows + 2]


def test_a_header_that_is_repeated_is_refused_by_that_reason(alice):
    _report, _found, refused = imported(alice, "email;name\na@example.org;Anna\n email ;name\n")
    assert refused == [(3, [" email ", "name"], "The line names the columns once more; it is no client.")]


NO_ADDRESS = [
    *("нет почты", "нет e-mail", "no email", "No e-mail", "mail.ru", "bob.hotmail.com", "(e-mail)", "e-mail", "email"),
    *("без почты", "email?", "неизвестна (почта)", "почта", "kein E-Mail", "-", "n/a", "mail"),
]


@pytest.mark.parametrize(
    "header", ["Рабочий e-mail;ФИО;Город", "Почта;Клиент;Тариф", "Email;Name;City", "Mail;Тариф;Пол"]
)
@pytest.mark.parametrize("cell", NO_ADDRESS)
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_row_that_looks_like_a_header_is_data(alice, header, cell, at):
    people = [f"p{number}@example.org;Пётр;Омск" for number in range(4)]
    people.insert(at, f"{cell};Иван;Казань")
    report, found, refused = imported(alice, "\n".join([header, *people]))
    assert look("\n".join([header, *people])).header == header.split(";")
    assert (len(found), report.refused) == (4, 1)
    assert [line for line, _cells, _reason in refused] == [at + 2]


@settings(max_examples=200, deadline=None)
@given(
    header=st.sampled_from(["Рабочий e-mail;ФИО;Город", "Email;Name;City", "Адрес;ФИО;Город", "Контакт;ФИО;Город"]),
    cells=st.lists(st.sampled_from([*NO_ADDRESS, "a@example.org", "b@example.org", ""]), min_size=1, max_size=12),
)
def test_no_row_is_passed_over_whatever_stands_in_it(header, cells):
    text = "\n".join([header, "first@example.org;Anna;Oslo", *(f"{cell};Ann;Rome" for cell in cells)])
    try:
        seen = look(text)
    except ImportRefused:
        assert header.startswith("Контакт")
    else:
        assert (seen.header, seen.columns.above) == (header.split(";"), (0, ""))


@pytest.mark.parametrize(
    ("title", "header"),
    [
        ("Список адресов эл. почты;;", "Адрес;ФИО;Город"),
        ("Выгрузка e-mail адресов;01.03.2026;", "E-mail клиента;Имя;Город"),
        ("Почта;;", "E-mail;ФИО;Телефон"),
        ("Our mailing list", "mail;full name;city"),
        ("Email;;", "Email;Name;City"),
    ],
)
def test_a_title_is_no_header_and_is_told(alice, title, header):
    report, found, refused = imported(alice, f"{title}\n;;\n{header}\nann@example.org;Ann;Rome\n")
    assert (list(found), refused) == (["ann@example.org"], [])
    [remark] = report.remarks
    assert remark.startswith("Lines passed over above the names of the columns: 1.")
    assert title.replace(";", " ").split()[0] in remark


def test_a_line_that_says_the_separator_is_not_told(alice):
    report, _found, _refused = imported(alice, "sep=;\nemail;name\nann@example.org;Ann\n")
    assert report.remarks == ()


# The column of addresses


def test_vestniks_own_columns_win_whatever_attributes_are_called(alice, bob):
    verbs.create_client(alice, "a|b@example.org", attributes={"mail": "x@example.org", "e_mail": "y@example.org"})
    text = '"email","full_name","comment","mail","e_mail"\n"a|b@example.org","","","x@example.org","y@example.org"\n'
    report, found, _refused = imported(alice, text)
    assert (report.unchanged, list(found)) == (1, ["a|b@example.org"])
    refused = "refused line,refused because," + text.partition("\n")[0] + "\n2,No.," + text.partition("\n")[2]
    report, found, _refused = imported(bob, refused)
    assert (report.created, list(found)) == (1, ["a|b@example.org"])


@pytest.mark.parametrize(
    "header",
    [
        "Рабочий e-mail;Частный e-mail;E-mail для рассылок",
        "email;email;email",
        "E-mail;E-mail 2;E-mail 3",
        "Primary Email;Secondary Email;Email",
    ],
)
def test_who_has_only_another_address_is_written_to_there_and_that_is_told(alice, header):
    rows = "a@example.org;;\n;b@example.org;\n-;;c@example.org\nнет почты;d@example.org;\n;;\n"
    report, found, refused = imported(alice, f"{header};ФИО\n" + rows.replace("\n", ";Ann\n"))
    assert set(found) == {"a@example.org", "b@example.org", "c@example.org", "d@example.org"}
    assert [(line, reason) for line, _cells, reason in refused] == [(6, "There is no e-mail address.")]
    [remark] = report.remarks
    assert remark.startswith("Rows without an address in ")


def test_a_wrong_address_is_refused_though_there_is_another(alice):
    report, found, _refused = imported(alice, "Email;Рабочий email\nc@example.org;\na.example.org;b@example.org\n")
    assert (list(found), report.refused, report.remarks) == (["c@example.org"], 1, ())


@pytest.mark.parametrize(
    "column",
    ["Owner email", "Manager e-mail", "Email менеджера", "E-mail ответственного", "Referrer email", "Reply-to email"],
)
@pytest.mark.parametrize("own", ["Email", "E-mail", "Почта", "Рабочий e-mail"])
def test_nobody_elses_address_is_taken_for_a_clients(alice, column, own):
    rows = "".join(f",Person {number},boss@example.org\n" for number in range(250))
    report, found, _refused = imported(alice, f"{own},Name,{column}\n{rows}ann@example.org,Ann,boss@example.org\n")
    assert (list(found), report.refused) == (["ann@example.org"], 250)
    assert found["ann@example.org"].attributes == {named(column): "boss@example.org"}


@pytest.mark.parametrize(
    "header",
    [
        *("Adresse de messagerie", 'דוא"ל', "כתובת דוא״ל", "E-pasta adrese", "El. pašto adresas", "El. paštas", "อีเมล"),
        *(
            "ایمیل",
            "ელფოსტა",
            "ელ. ფოსტა",
            "Эл. адрес",
            "Эл.адрес клиента",
            "Е-mаil",
            "ЕMАIL",
            "E-poçt",
            "Elektron pochta",
        ),
        *(
            "Електронна адреса",
            "Имэйл хаяг",
            "電郵",
            "ईमेल",
            "전자우편",
            "Surel",
            "Netfang",
            "Sähköposti",
            "E-postadress",
        ),
    ],
)
def test_addresses_are_called_so_in_many_languages(header):
    seen = look(f"Name;{header.replace(chr(34), '')};City\nAnn;;Oslo\n")
    assert (seen.columns.email, seen.columns.by_content) == (1, False)


def test_a_column_where_nearly_all_are_addresses_is_that_of_addresses_and_that_is_told(alice):
    rows = "".join(f"Person {number};p{number}@example.org;Oslo\n" for number in range(20))
    report, found, _refused = imported(alice, f"Name;Kontaktpunkt;City\n{rows}Bob;-;Rome\n")
    assert (len(found), found["p0@example.org"].full_name) == (20, "Person 0")
    assert "“Kontaktpunkt”" in report.remarks[0]
    assert ("Kontaktpunkt", "e-mail address") in headers.meanings(
        ["Name", "Kontaktpunkt"], look(f"Name;Kontaktpunkt\n{rows.replace(';Oslo', '')}").columns
    )


@pytest.mark.parametrize("text", ["a@example.org;Ann\nb@example.org;Bob\n", "Ann;a@example.org\nBob;b@example.org\n"])
def test_a_file_without_names_of_columns_is_refused_and_not_guessed_at(alice, text):
    with pytest.raises(ImportRefused, match="No column is called"):
        imported(alice, text)

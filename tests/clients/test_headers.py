"""Files as people's programs write them: which line names the columns, and what each of them means."""

import csv
import io
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestnik.clients import csv_files
from vestnik.clients.csv_files import ImportRefused
from vestnik.clients.importing import import_clients
from vestnik.clients.models import Client


def imported(owner, text: str, encoding: str = "utf-8"):
    report = import_clients(owner, io.BytesIO(text.encode(encoding)), encoding=encoding)
    return report, list(Client.objects.filter(owner=owner).order_by("pk"))


def look(text: str, delimiter: str = "") -> csv_files.Look:
    return csv_files.look(io.BytesIO(text.encode()), delimiter=delimiter)


# Header lines of exports, as the programs write them, each with a row; then who that is.
EXPORTS = {
    "Google, since 2024": (
        "First Name,Middle Name,Last Name,Phonetic First Name,Phonetic Middle Name,Phonetic Last Name,Name Prefix,"
        "Name Suffix,Nickname,File As,Organization Name,Organization Title,Organization Department,Birthday,Notes,"
        "Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Label,E-mail 2 - Value,Phone 1 - Label,"
        "Phone 1 - Value\n"
        "Anna,,Sergeeva,,,,,,,,Fair Ltd,,,,met at the fair,,* myContacts,* Work,anna@example.org,Home,a2@example.org,,"
        "\n",
        "Anna Sergeeva",
        "met at the fair",
        {"Organization_Name": "Fair Ltd", "E_mail_2_Value": "a2@example.org", "Labels": "* myContacts"},
    ),
    "Google, before": (
        "Name,Given Name,Additional Name,Family Name,Yomi Name,Group Membership,E-mail 1 - Type,E-mail 1 - Value,"
        "Notes\n"
        "Anna Sergeeva,Anna,,Sergeeva,,* myContacts,* Work,anna@example.org ::: a2@example.org,\n",
        "Anna Sergeeva",
        "",
        {"Given_Name": "Anna", "E_mail_1_Type": "* Work"},
    ),
    "Outlook": (
        "First Name,Middle Name,Last Name,Title,Suffix,Nickname,E-mail Address,E-mail 2 Address,E-mail 3 Address,"
        "Home Phone,Notes,Home Street\nAnna,,Sergeeva,,,,anna@example.org,a2@example.org,,+7 900 1,a note,Long St\n",
        "Anna Sergeeva",
        "a note",
        {"E_mail_2_Address": "a2@example.org", "Home_Street": "Long St", "Home_Phone": "+7 900 1"},
    ),
    "Outlook in Russian": (
        "Обращение,Имя,Отчество,Фамилия,Организация,Адрес эл. почты,Тип эл. почты,Почтовый индекс,Заметки\n"
        ",Анна,Ивановна,Сергеева,ООО Роза,anna@example.org,SMTP,420000,заметка\n",
        "Анна Ивановна Сергеева",
        "заметка",
        {"Организация": "ООО Роза", "Тип_эл_почты": "SMTP", "Почтовый_индекс": "420000"},
    ),
    "Thunderbird": (
        "First Name,Last Name,Display Name,Nickname,Primary Email,Secondary Email,Screen Name,Work Phone,Home Address,"
        "Work Address,Notes,\nAnna,Sergeeva,Anna M. Sergeeva,,anna@example.org,,,,Long St,,,\n",
        "Anna M. Sergeeva",
        "",
        {"First_Name": "Anna", "Home_Address": "Long St"},
    ),
    "Mailchimp": (
        '"Email Address","First Name","Last Name",Address,"Phone Number",Birthday,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,'
        "CONFIRM_TIME,LATITUDE,LONGITUDE,LAST_CHANGED,LEID,EUID,NOTES,TAGS\n"
        'anna@example.org,Anna,Sergeeva,"1 Long St  Kazan  RU",,,2,,,2024-01-01,,,,1,abc,,"""VIP"",""Fair 2024"""\n',
        "Anna Sergeeva",
        "",
        {"Address": "1 Long St  Kazan  RU", "MEMBER_RATING": "2", "TAGS": '"VIP","Fair 2024"'},
    ),
    "HubSpot": (
        "Record ID,First Name,Last Name,Email,Email Domain,Name,Lead Status\n"
        "1,Anna,Sergeeva,anna@example.org,example.org,Anna M. Sergeeva,New\n",
        "Anna M. Sergeeva",
        "",
        {"Email_Domain": "example.org", "Record_ID": "1", "Lead_Status": "New"},
    ),
    "Bitrix24": (
        "ID;Обращение;Имя;Отчество;Фамилия;Рабочий телефон;Рабочий e-mail;Частный e-mail;E-mail для рассылок;"
        "Комментарий\n"
        "7;;Анна;;Сергеева;;anna@example.org;;;из чата\n",
        "Анна Сергеева",
        "из чата",
        {"ID": "7"},
    ),
    "amoCRM": (
        "ID;Тип;Имя контакта;Фамилия;Полное имя контакта;Ответственный;Рабочий телефон;Рабочий email;Личный email\n"
        "7;контакт;Анна;Сергеева;Анна Сергеева;Иван;'+79001;anna@example.org;\n",
        "Анна Сергеева",
        "",
        {"Ответственный": "Иван", "Имя_контакта": "Анна", "Рабочий_телефон": "+79001"},
    ),
    "UniSender": (
        "email,email_status,email_availability,email_list_ids,phone,Имя,tags\n"
        "anna@example.org,active,available,1,,Анна,vip\n",
        "Анна",
        "",
        {"email_status": "active", "email_list_ids": "1"},
    ),
    "SendPulse": (
        "Email,Phone,Name,Date added,Status\nanna@example.org,,Анна,2024-01-01,Active\n",
        "Анна",
        "",
        {"Date_added": "2024-01-01"},
    ),
    "WooCommerce's customers": (
        "Name,Username,Last Active,Date Registered,Email,Orders,Total Spend,AOV,Country / Region,City,Postal Code\n"
        "Anna Sergeeva,anna,2024,2023,anna@example.org,2,10,5,RU,Kazan,420000\n",
        "Anna Sergeeva",
        "",
        {"Country_Region": "RU", "Total_Spend": "10"},
    ),
    "WooCommerce's orders": (
        "Order Number,Billing First Name,Billing Last Name,Billing Email,Billing Address,Customer Note\n"
        "1,Anna,Sergeeva,anna@example.org,Long St,ring twice\n",
        "Anna Sergeeva",
        "",
        {"Billing_Address": "Long St", "Customer_Note": "ring twice"},
    ),
    "1C": (
        "Список контрагентов;;\nна 01.03.2026;;\n;;\nНаименование;Электронная почта;Город\n"
        "ООО Ромашка;anna@example.org;Казань\n",
        "ООО Ромашка",
        "",
        {"Город": "Казань"},
    ),
    "Google Forms": (
        '"Отметка времени","Адрес электронной почты","Как вас зовут?","Пожалуйста, расскажите,\n откуда вы узнали о'
        " нашей выставке и что вам понравилось больше всего на ней в этом году, а что хотелось бы изменить к"
        ' следующему?"\n'
        '"2026/03/01 10:00:00 AM GMT+3","anna@example.org","Анна","от друзей"\n',
        "Анна",
        "",
        {"Отметка_времени": "2026/03/01 10:00:00 AM GMT+3"},
    ),
    "a German address book": (
        "Vorname;Nachname;E-Mail-Adresse;Straße\nAnna;Groß;anna@example.org;Lange Str. 1\n",
        "Anna Groß",
        "",
        {"Straße": "Lange Str. 1"},
    ),
    "a Spanish one": (
        "Nombre;Apellidos;Correo electrónico\nAnna;Núñez\xa0Gil;anna@example.org\n",
        "Anna Núñez\xa0Gil",
        "",
        {},
    ),
}


@pytest.mark.parametrize("program", list(EXPORTS))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_exports_import_as_they_are(alice, program, encoding):
    text, name, comment, some = EXPORTS[program]
    report, [client] = imported(alice, text, encoding)
    assert (report.created, report.refused) == (1, 0)
    assert (client.email, client.full_name, client.comment) == ("anna@example.org", name, comment)
    assert some.items() <= client.attributes.items()
    client.full_clean()


def test_a_long_question_names_an_attribute_by_its_beginning(alice):
    _report, [client] = imported(alice, EXPORTS["Google Forms"][0])
    [name] = [name for name in client.attributes if name.startswith("Пожалуйста_расскажите_откуда")]
    assert len(name) == 100


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Ваш e-mail", ""),
        ("Контактный е-мэйл (почта)", ""),
        ("Correo", ""),
        ("Adres poczty", ""),
        ("Почта для связи", ""),
        ("メールアドレス", ""),
        ("ELECTRONIC MAIL", ""),
        ("e\u2011mail", ""),
        ("Адрес", ""),
        ("address", ""),
    ],
)
def test_whatever_is_called_so_and_holds_addresses_is_the_column_of_addresses(alice, header, row):
    _report, [client] = imported(alice, f"Name,{header}\nAnn,ann@example.org\n")
    assert (client.email, client.full_name, client.attributes) == ("ann@example.org", "Ann", {})


@pytest.mark.parametrize("header", ["Адрес", "Address", "Mailing address", "Почтовый индекс", "Email type"])
def test_what_may_be_called_so_and_holds_none_is_not(alice, header):
    with pytest.raises(ImportRefused, match="No column is called"):
        imported(alice, f"Name,{header}\nAnn,Long St. 1\n")
    _report, [client] = imported(alice, f"Name,{header},Ваша почта\nAnn,Long St. 1,ann@example.org\n")
    assert list(client.attributes.values()) == ["Long St. 1"]


def test_of_several_columns_of_addresses_the_one_that_holds_most_is_taken(alice):
    text = "Личный email,Рабочий email\n,a@example.org\n,b@example.org\nc2@example.org,c@example.org\n"
    _report, found = imported(alice, text)
    assert [client.email for client in found] == ["a@example.org", "b@example.org", "c@example.org"]
    assert found[2].attributes == {"Личный_email": "c2@example.org"}


@pytest.mark.parametrize(
    ("header", "row", "name"),
    [
        ("Name,First Name,Last Name", "Anna M. Berg,Anna,Berg", "Anna M. Berg"),
        ("Name,First Name,Last Name", ",Anna,Berg", "Anna Berg"),
        ("First Name,Name", "Anna,Anna Berg", "Anna Berg"),
        ("First Name,Name", "Anna,Berg", "Anna Berg"),
        ("Name,Surname", "Anna,Berg", "Anna Berg"),
        ("Фамилия,Имя", "Берг,Анна", "Берг Анна"),
        ("Имя,ФИО", "Анна,Анна Берг", "Анна Берг"),
        ("Name,name", "Anna,Berg", "Anna"),
        ("Контрагент,Город", "ООО Роза,Казань", "ООО Роза"),
    ],
)
def test_a_full_name_is_found_among_its_parts(alice, header, row, name):
    _report, [client] = imported(alice, f"email,{header}\na@example.org,{row}\n")
    assert client.full_name == name


# What sinks no file


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("email,%,#\na@example.org,5,7\n", {"percent_sign": "5", "number_sign": "7"}),
        ("email,phone,Phone,PHONE\na@example.org,1,2,3\n", {"phone": "1", "Phone_2": "2", "PHONE_3": "3"}),
        ("email,n,n_2,n\na@example.org,1,2,3\n", {"n": "1", "n_2": "2", "n_3": "3"}),
        ("email,,x, \na@example.org,lost,1,lost\n", {"x": "1"}),
        ("email,E-mail\na@example.org,b@example.org\n", {"E_mail": "b@example.org"}),
        ("email,note,comment\na@example.org,1,2\n", {"comment": "2"}),
        ("email,ФИО,Full name\na@example.org,1,2\n", {"Full_name": "2"}),
        ("email,★\na@example.org,5\n", {"black_star": "5"}),
        ("email,Gro\u0308ße,И\u0306од\na@example.org,L,1\n", {"Größe": "L", "Йод": "1"}),
        ("email,हिन्दी नाम\na@example.org,x\n", {"हिन्दी_नाम": "x"}),
        (f"email,{'q' * 300},{'q' * 200}\na@example.org,1,2\n", {"q" * 100: "1", "q" * 95 + "_2": "2"}),
    ],
)
def test_no_header_sinks_a_file(alice, text, attributes):
    _report, [client] = imported(alice, text)
    assert client.attributes == attributes
    client.full_clean()


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nemail;full name;city\r\n{}\r\n",
        '"sep=;"\r\nemail;full name;city\r\n{}\r\n',
        'email, "full name", "city"\nann@example.org, "Berg, Ann", "Rome"\n',
        'email , "full name" ,"city" \nann@example.org , "Berg, Ann" , "Rome" \n',
        'email,full name,city\nann@example.org, "Berg, Ann",Rome\n',
        'email;full name;city\n ann@example.org; "Berg, Ann"; "Rome"\n',
        "email\tfull name\tcity\nann@example.org\tBerg, Ann\tRome\n",
        "email|full name|city\nann@example.org|Berg, Ann|Rome\n",
        "Our clients\n\n\nemail;full name;city\nann@example.org;Berg, Ann;Rome\n",
        "Выгрузка e-mail адресов;;\n;;\nE-mail клиента;Имя;city\nann@example.org;Berg, Ann;Rome\n",
        "Report, with commas, and mail\nemail;full name;city\nann@example.org;Berg, Ann;Rome\n",
        "\ufeffemail;full name;city\r\rann@example.org;Berg, Ann;Rome\r",
    ],
)
def test_a_file_is_read_however_it_is_laid_out(alice, text):
    report, [client] = imported(alice, text.format("ann@example.org;Berg, Ann;Rome"))
    assert report.refused == 0
    assert (client.email, client.full_name, client.attributes) == ("ann@example.org", "Berg, Ann", {"city": "Rome"})


def test_lines_are_counted_from_the_files_first(alice):
    refused = []
    text = b"A title\n\nsep and more\n\nemail;name\na@example.org;A\nbad;B\n"
    import_clients(alice, io.BytesIO(text), on_refused=lambda line, *_rest: refused.append(line))
    assert refused == [7]


def test_a_file_of_names_and_no_addresses_in_the_first_rows_is_read(alice):
    empty = "".join(f"Person {number},,\n" for number in range(300))
    _report, found = imported(alice, f"Name,E-mail 1 - Label,E-mail 1 - Value\n{empty}Ann,Work,ann@example.org\n")
    assert [client.email for client in found] == ["ann@example.org"]
    assert look(f"Name,E-mail 1 - Value\n{empty}").columns.email == 1


def test_the_separator_that_was_said_is_used():
    assert look("email;name,x\na@example.org;A,B\n", ",").header == ["email;name", "x"]


def test_a_thousand_columns_are_read(alice):
    names = ",".join(f"n{number}" for number in range(999))
    _report, [client] = imported(alice, f"email,{names}\na@example.org,{',' * 998}x\n")
    assert client.attributes == {"n998": "x"}


# What people are told


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("status", True),
        ("Статус", True),
        ("unsubscribed", True),
        ("Unsubscribe Time", True),
        ("Отписался", True),
        ("email_status", True),
        ("Bounced at", True),
        ("do not contact", True),
        ("Lead Status", False),
        ("State", False),
        ("city", False),
    ],
)
def test_a_column_that_may_say_who_left_is_named_in_the_result(alice, header, named):
    report, _found = imported(alice, f"email,{header}\na@example.org,unsubscribed\n")
    assert (f"“{header}”" in " ".join(report.remarks)) == named


def test_rows_of_one_address_are_counted(alice):
    text = "email,name\na@example.org,A\nA@EXAMPLE.org,\nb@example.org,\na@example.org,C\nbad,\n"
    report, found = imported(alice, text)
    assert (report.created, report.repeated, report.refused) == (2, 2, 1)
    assert found[0].full_name in ("A", "C")


# Whatever stands there

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ROWS = st.lists(st.lists(CELL, min_size=1, max_size=5), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)
@given(rows=ROWS, delimiter=st.sampled_from(",;\t|"))
def test_no_table_makes_a_look_fail(rows, delimiter):
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter).writerows([["email", "x"], *rows])
    found = look(written.getvalue())
    assert found.columns.email < len(found.header)
    with suppress(ImportRefused):
        look(written.getvalue().partition("\n")[2])

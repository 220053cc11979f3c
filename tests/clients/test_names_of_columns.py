"""How people's programs call the columns of names, and those that may say who does not want letters."""

import io

import pytest

from vestnik.clients.column_names import key, likeness
from vestnik.clients.importing import import_clients
from vestnik.clients.models import Client


def imported(owner, text: str):
    report = import_clients(owner, io.BytesIO(text.encode()))
    return report, list(Client.objects.filter(owner=owner).order_by("pk"))


@pytest.mark.parametrize(
    ("header", "row", "name"),
    [
        ("First Name (Billing);Last Name (Billing);First Name (Shipping)", "Anna;Berg;Bob", "Anna Berg"),
        ("Имя;Фамилия;Отображаемое имя", "Анна;Берг;Анна М. Берг", "Анна М. Берг"),
        ("Имя;Фамилия;Отображаемое имя", "Анна;Берг;", "Анна Берг"),
        ("Vorname;Nachname;Anzeigename", "Anna;Berg;Anna M. Berg", "Anna M. Berg"),
        ("Voornaam;Middelste naam;Achternaam", "Anna;M.;Berg", "Anna M. Berg"),
        ("Förnamn;Mellannamn;Efternamn", "Anna;;Berg", "Anna Berg"),
        ("Ad;İkinci Ad;Soyadı", "Ayşe;;Yılmaz", "Ayşe Yılmaz"),
        ("Titre;Prénom;Deuxième prénom;Nom", ";Anna;M.;Berg", "Anna M. Berg"),
        ("Nombre;Segundo nombre;Apellidos", "Anna;M.;Berg", "Anna M. Berg"),
        ("Nome;Secondo nome;Cognome", "Anna;M.;Berg", "Anna M. Berg"),
        ("Imię;Drugie imię;Nazwisko", "Anna;M.;Berg", "Anna M. Berg"),
        ("Fornavn;Etternavn", "Anna;Berg", "Anna Berg"),
        ("Etunimi;Sukunimi", "Anna;Berg", "Anna Berg"),
        ("Jméno;Příjmení", "Anna;Berg", "Anna Berg"),
        ("Vezetéknév;Keresztnév", "Nagy;Anna", "Nagy Anna"),
        ("Nume;Prenume", "Berg;Anna", "Berg Anna"),
        ("Nome;Sobrenome", "Anna;Berg", "Anna Berg"),
        ("Person - Name;Organization - Name", "Anna Berg;Fair Ltd", "Anna Berg"),
        ("Lead name", "Anna Berg", "Anna Berg"),
        ("Имя контакта;Фамилия;Полное имя контакта", "Анна;Берг;", "Анна Берг"),
        ("Имя;Фамилия;Полное имя", "Анна;Берг;", "Анна Берг"),
        ("Имя;ФИО", "Анна;", "Анна"),
        ("user_login;first_name;last_name;display_name", "ab85;Anna;Berg;ab85", "Anna Berg"),
        ("user_login;first_name;last_name;display_name", "anna;Anna;Berg;anna", "Anna Berg"),
        ("user_login;first_name;last_name;display_name", "ab85;Anna;Berg;Anna Berg", "Anna Berg"),
        ("user_login;first_name;last_name;display_name", "ab85;;;ab85", ""),
        ("First Name;Last Name;Display Name", ";;Anna Berg", "Anna Berg"),
        ("Display Name", "Anna Berg", "Anna Berg"),
        ("Ad;Budget", "Summer;100", ""),
    ],
)
def test_a_name_is_found_however_its_columns_are_called(alice, header, row, name):
    _report, [client] = imported(alice, f"email;{header}\na@example.org;{row}\n")
    assert client.full_name == name


@pytest.mark.parametrize(
    ("header", "is_named"),
    [
        ("Подписан на рассылку", True),
        ("IsSubscribed", True),
        ("Is Subscribed", True),
        ("Accepts Email Marketing", True),
        ("Accepts Marketing", True),
        ("Согласие на рассылку", True),
        ("Согласие на получение писем", True),
        ("Marketing contact status", True),
        ("Marketing emails opted in", True),
        ("Email Marketing Consent", True),
        ("Newsletter", True),
        ("Подписка на новости", True),
        ("Рассылка", True),
        ("Abonniert", True),
        ("Désabonné le", True),
        ("Підписаний на розсилку", True),
        ("Получать рассылку", True),
        ("OPTIN_TIME", False),
        ("Подпись", False),
        ("E-mail для рассылок", False),
        ("Тариф", False),
    ],
)
def test_a_column_that_may_say_who_left_is_named(alice, header, is_named):
    report, _found = imported(alice, f"email;{header}\na@example.org;no\n")
    told = [remark for remark in report.remarks if "unsubscrib" in remark or "suppression list" in remark]
    assert any(f"“{header}”" in remark for remark in told) == is_named


@pytest.mark.parametrize(
    "name", ["нет почты", "no email", "mail.ru", "bob.hotmail.com", "a@example.org", "без e-mail", "", "☎"]
)
def test_what_stands_in_a_cell_is_no_name_of_a_column(name):
    assert likeness(name) == 0


def test_a_long_name_is_compared_by_its_beginning():
    assert key("e" * 10_000) == "e" * 200

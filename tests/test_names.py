"""When two spellings are one name."""

import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.names import same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("City", "city"),
        ("ГОРОД", "город"),
        ("Straße", "STRASSE"),
        ("Дата рождения", " дата \u00a0 рождения "),
        ("Дата рождения", "Дата\u2003рождения"),
        ("Имя", "И\u200bм\u00adя\ufeff"),
        ("Имя\u2060", "имя"),
        ("йод", unicodedata.normalize("NFD", "ЙОД")),
        ("Ёлка", unicodedata.normalize("NFD", "ёлка")),
        ("Ｃｉｔｙ", "city"),
        ("№ 5", "no 5"),
        ("ﬁrst", "FIRST"),
        ("Οδυσσεύς", "ΟΔΥΣΣΕΎΣ"),
        ("☎\ufe0f", "☎"),
    ],
)
def test_spellings_that_read_the_same_are_one_name(one: str, other: str) -> None:
    assert same(one) == same(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("city", "cities"),
        ("first name", "firstname"),
        ("first_name", "first-name"),
        ("е", "ё"),
        ("и", "й"),
        ("a", "а"),  # Latin, Cyrillic
        ("x2", "x3"),
    ],
)
def test_spellings_that_read_differently_are_two_names(one: str, other: str) -> None:
    assert same(one) != same(other)


@pytest.mark.parametrize("nothing", ["", " ", "\u00a0\t\n", "\u200b\ufeff\u00ad"])
def test_what_cannot_be_seen_is_no_name(nothing: str) -> None:
    assert same(nothing) == ""


@given(st.text())
def test_the_key_of_a_key_is_the_key(name: str) -> None:
    assert same(same(name)) == same(name)


@given(st.text(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_no_normal_form_makes_another_name(name: str, form: Literal["NFC", "NFD", "NFKC", "NFKD"]) -> None:
    assert same(unicodedata.normalize(form, name)) == same(name)


@given(st.text())
def test_folded_case_makes_no_other_name(name: str) -> None:
    assert same(unicodedata.normalize("NFD", name).casefold()) == same(name)

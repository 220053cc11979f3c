"""Every text of the interface is there in Russian."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from tests import needs

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("shared/vestnik", "services/web/web")
NAMES = re.compile(r"%\((\w+)\)|\{\{ [\w.]+ \}\}|%[sd]")


def messages(room: Path) -> list[Message]:
    with (room / "locale/ru/LC_MESSAGES/django.po").open("rb") as file:
        return [message for message in read_po(file, locale="ru") if message.id]


def strings(message: Message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple) else (message.string,)


@pytest.mark.parametrize("room", ROOMS)
def test_no_text_of_the_code_waits_for_its_translation(room: str, tmp_path: Path) -> None:
    needs.program("xgettext", "gettext")
    copy = tmp_path / "room"
    shutil.copytree(ROOT / room, copy, ignore=shutil.ignore_patterns("static", "__pycache__", "*.mo"))
    make = [sys.executable, "-m", "django", "makemessages", "--locale", "ru", "--no-obsolete", "--verbosity", "0"]
    subprocess.run(make, cwd=copy, check=True, env={**os.environ, "DJANGO_SETTINGS_MODULE": ""})

    waiting = [message.id for message in messages(copy) if message.fuzzy or not all(strings(message))]
    assert not waiting, "`make messages` gathers these; translate them"


@pytest.mark.parametrize("room", ROOMS)
def test_translations_name_what_their_texts_name(room: str) -> None:
    for message in messages(ROOT / room):
        singular = message.id[-1] if message.pluralizable else message.id
        for string in strings(message):
            assert set(NAMES.findall(string)) == set(NAMES.findall(singular)), message.id


@pytest.mark.parametrize("room", ROOMS)
def test_plurals_have_all_their_forms(room: str) -> None:
    for message in messages(ROOT / room):
        if message.pluralizable:
            assert len(message.string) >= 3, message.id


UNRUSSIAN = (
    (" – ", "a Russian dash is an em dash"),
    ("мёртв", "letters and jobs do not die"),
    (" умер", "nor do workers"),
    ("вышел на всех", "sessions end"),
    ("не со своей страницы", "a page is out of date"),
    ("напишите тому", "there is a word for that: the administrator"),
)


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("words", [words for words, _why in UNRUSSIAN])
def test_nobody_reads_russian_that_nobody_speaks(room: str, words: str) -> None:
    found = [
        string for message in messages(ROOT / room) for string in strings(message) if words in f" {string}".lower()
    ]
    assert not found

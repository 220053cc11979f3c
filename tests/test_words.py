"""What was accepted by the mail service was not delivered yet, and no text says so."""

import re
from pathlib import Path

import pytest

from tests.test_translations import ROOMS, ROOT, messages, strings

CLAIMS = re.compile(r"\bdelivered\b|\bgot through\b|\btime to deliver\b", re.IGNORECASE)
RUSSIAN = re.compile(r"(?<!не )(?<!не)\bдоставлен|(?<!ли )\bдошл[оиа]\b(?! ли)", re.IGNORECASE)
DENIED = re.compile(r"\b(?:not|never|cannot be|could not be) delivered\b", re.IGNORECASE)


@pytest.mark.parametrize("room", ROOMS)
def test_no_page_says_of_a_letter_that_it_was_delivered(room: str) -> None:
    for message in messages(ROOT / room):
        for text in message.id if message.pluralizable else (message.id,):
            assert not CLAIMS.search(DENIED.sub("", text)), text
        for text in strings(message):
            assert not RUSSIAN.search(text), text


@pytest.mark.parametrize(
    "name", ["ops/grafana/vestnik.json", "ops/prometheus/alerts.yml", "docs/operations.md", "README.md"]
)
def test_no_metric_and_no_document_says_it(name: str) -> None:
    found = CLAIMS.findall(DENIED.sub("", (ROOT / name).read_text()))
    assert not found, f"{name}: {found}"


def test_no_help_of_a_metric_says_it() -> None:
    for room in ("shared/vestnik/metrics", "services/dispatcher/dispatcher"):
        for path in Path(ROOT / room).rglob("*.py"):
            for line in path.read_text().splitlines():
                assert not re.search(r"""["'][^"']*\bdelivered\b[^"']*["']""", line), f"{path}: {line}"

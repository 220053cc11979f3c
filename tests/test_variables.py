"""The table of variables in docs/operations.md, and what it is made of, agree."""

import subprocess
import sys

import pytest

from tools import variables
from tools.variables import NEEDED, Reading, Sentence

SAID = {
    "LOG_LEVEL": Sentence("The web server", "INFO", "How much is told."),
    "SITE_URL": Sentence("The web server", "https://mail.example.org", "Where it is (an example; x)."),
}
KNOWN = {"LOG_LEVEL": Reading("both", "INFO"), "SITE_URL": Reading("web", "")}


def test_the_table_is_up_to_date() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "tools.variables", "--check"],
        cwd=variables.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("known", "said", "fault"),
    [
        (KNOWN | {"NEW": Reading("web", "1")}, SAID, "NEW is read by web, and .env.example does not say"),
        (KNOWN, SAID | {"OLD": SAID["LOG_LEVEL"]}, "OLD stands in .env.example, and nobody reads it"),
        (KNOWN | {"LOG_LEVEL": Reading("both", "DEBUG")}, SAID, "LOG_LEVEL is 'DEBUG' by default, and 'INFO' in"),
        (KNOWN, SAID | {"LOG_LEVEL": Sentence("x", "INFO", "")}, "LOG_LEVEL stands in .env.example without a sentence"),
    ],
)
def test_what_does_not_agree_is_said(known: dict[str, Reading], said: dict[str, Sentence], fault: str) -> None:
    assert list(variables.faults(KNOWN, SAID)) == []
    (found,) = variables.faults(known, said)
    assert found.startswith(fault)


def test_a_row_says_the_default_here_and_in_containers() -> None:
    compose = '  LOG_LEVEL: ${LOG_LEVEL:-DEBUG}\n  SITE_URL: "http://x"\n  KEY_FILE: /run/key\n  KEY: ${KEY:-}\n'
    known = KNOWN | {"KEY": Reading("both", NEEDED), "ODD": Reading("web", "a|b")}
    said = SAID | {"KEY": Sentence("x", "", "Signs."), "ODD": Sentence("x", "a|b", "Odd | *.")}
    rows = [line for line in variables.table(known, said, compose).splitlines() if line.startswith("| `")]
    assert rows == [
        "| `LOG_LEVEL` | `INFO` | `DEBUG` | both | How much is told. |",
        "| `SITE_URL` | none | `http://x`, always | web | Where it is (x). Example: `https://mail.example.org` |",
        "| `KEY` | – | made once, kept | both | Signs. |",
        "| `ODD` | `a|b` | not passed on | web | Odd \\| \\*. |",
    ]


def test_containers_are_told_what_the_services_read() -> None:
    _before, _begin, rest = variables.PAGE.read_text().partition(variables.BEGIN)
    table, _end, _after = rest.partition(variables.END)
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    assert [row[0] for row in rows if row[2] == "not passed on"] == ["| `DEBUG`"]

"""Words that only we knew are retired: beside each stands the field's. docs/glossary.md has the words that stay."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

RETIRED = {
    r"(login_)?setbacks?": "backoff (PROBE_BACKOFF)",
    r"dead.messages?": "dead job",
    r"bury|buried|bury_\w+": "reap",
    r"levers?": "action",
    r"deeds?": "action",
    r"hiders?": "redactor",
    r"heirs?": "late-receipt callback (on_late)",
    r"left lying|left_lying|is_left_lying": "overdue",
    r"are others (now|after|once|than)": "changed",
    r"throw(s|n)? away|throw_away|thrown_away": "invalidate, drop",
    r"generations?": "version",
    r"sweeps?": "prune",
    r"tidy": "expire, prune, clean up",
    r"unwell": "unhealthy",
    r"noroom": "ConnectionLimitReached",
    r"anew": "again; restart, rewrite",
    r"sendable_things|_?thing_?page|thing_?form": "detail page, object form",
}
"""A pattern of each word, and what is said instead."""

ELSEWHERE = (
    "docs/decisions/",
    "/migrations/",
    "/locale/",
    "/demo/articles/",
    "tests/test_vocabulary.py",
    "CHANGELOG.md",
)
"""What was said at its time, and what is literature."""

ALLOWED = {
    ("shared/vestnik/settings.py", "dead_message"): "an option of Dramatiq's",
    ("services/dispatcher/dispatcher/settings.py", "dead_message"): "the same",
    ("services/web/web/templates/panel/dead_job.html", "anew"): "a page's text, which is translated",
    ("services/web/web/templates/profile/delete.html", "anew"): "the same",
    ("shared/vestnik/blog/images.py", "anew"): "the same",
}

WORD = {word: re.compile(rf"(?<![A-Za-z]){word}(?![A-Za-z])", re.IGNORECASE) for word in RETIRED}


def sources() -> list[str]:
    """What is written here: code, pages, documents."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    kinds = (
        ".py",
        ".md",
        ".html",
        ".js",
        ".css",
        ".yml",
        ".toml",
        ".template",
        ".json",
        ".mjs",
        "Makefile",
        "Dockerfile",
    )
    return [
        name
        for name in listed.stdout.decode().splitlines()
        if name.endswith(kinds) and not any(part in name for part in ELSEWHERE) and (ROOT / name).is_file()
    ]


@pytest.mark.parametrize("word", RETIRED)
def test_a_retired_word_is_not_said(word):
    said = []
    for name in sources():
        text = (ROOT / name).read_text()
        for found in WORD[word].finditer(text):
            if not any(name == file and found[0].lower().startswith(start) for file, start in ALLOWED):
                line = text.count("\n", 0, found.start()) + 1
                said.append(f"{name}:{line}: {found[0]!r}, the field says {RETIRED[word]}")
    assert not said, "\n".join(said)

"""The table of every variable in docs/operations.md, made of what reads them: `python -m tools.variables`.

Names and defaults come from the services' settings, `make run` and docker-compose.yml; what each means stands in
.env.example, once. Exit code 1 where they do not agree: a variable without a sentence, a sentence about nothing, an
example that says another default.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / ".env.example"
COMPOSE = ROOT / "docker-compose.yml"
PAGE = ROOT / "docs" / "operations.md"
BEGIN, END = "<!-- variables: made by `make variables` -->", "<!-- /variables -->"

NOWHERE = {
    "MODE": "local",
    "SECRET_KEY": "of nothing",
    "DATABASE_URL": "postgresql:///nowhere",
    "REDIS_URL": "unix:///nowhere",
    "MAIL_SERVICE_URL": "smtp://localhost",
}
ASK = """
import json, sys, {service}.settings
from vestnik.settings import ASKED, NEEDED
print(json.dumps({{name: [] if default is NEEDED else [default] for name, default in ASKED.items()}}))
"""
NEEDED, MADE = "–", "made once, kept"
COMPUTED = {
    "CACHE_URL": "as `REDIS_URL`",
    "COOKIES_OVER_HTTPS_ONLY": "as `SITE_URL` is https",
    "SENTRY_RELEASE": "the version",
    "BULK_PROCESSES": "`2`",
}
"""Defaults that follow from something else, and one that is read before the settings are."""

BY_MAKE_RUN = re.compile(r'(?:_port|_whole|environ\.get|given)\("([A-Z_]+)"')
NOT_OURS = {"PATH", "XDG_RUNTIME_DIR"}
BY_COMPOSE = re.compile(r"\$\{([A-Z_]+)")
PASSED = re.compile(r"^ +(SSL_CERT_FILE|[A-Z_]+?)(_FILE)?:(?: +(.*))?$", re.MULTILINE)
ASSIGNMENT = re.compile(r"^#?([A-Z_]+)=(.*)$")
AN_EXAMPLE = re.compile(r" \(an example(?:[;:] ([^)]*))?\)")
SECTION = re.compile(r"^# --- (.+?) -+$")


@dataclass(frozen=True)
class Sentence:
    """What .env.example says of a variable."""

    section: str
    value: str
    words: str

    @property
    def is_example(self) -> bool:
        """Whether its value is an example, and not the default."""
        return "(examples)" in self.section or "(an example" in self.words


@dataclass(frozen=True)
class Reading:
    """Who reads a variable, and what they take where it is not set: "–" if they do not go without it, None if others
    than the services read it.
    """

    by: str
    default: str | None = None


def sentences(text: str) -> dict[str, Sentence]:
    """Return what .env.example says, by variable."""
    found: dict[str, Sentence] = {}
    section = ""
    words: list[str] = []
    for line in text.splitlines():
        if heading := SECTION.match(line):
            section, words = heading[1], []
        elif assignment := ASSIGNMENT.match(line):
            found[assignment[1]] = Sentence(section, assignment[2].strip("'"), " ".join(words))
            words = []
        elif line.startswith("# "):
            words.append(line[2:])
        else:
            words = []
    return found


def readings() -> dict[str, Reading]:
    """Find every variable that something reads. The services come first: what they read others only hand on."""
    web, dispatcher = _asked("web"), _asked("dispatcher")
    found = {}
    for name in [*web, *dispatcher]:
        who = "both" if name in web and name in dispatcher else "web" if name in web else "dispatcher"
        found[name] = Reading(who, _shown((web | dispatcher)[name]))
    local = {name for path in (ROOT / "local").glob("*.py") for name in BY_MAKE_RUN.findall(path.read_text())}
    for name in sorted(local - NOT_OURS):
        found.setdefault(name, Reading("`make run`"))
    for name in sorted(BY_COMPOSE.findall(COMPOSE.read_text())):
        found.setdefault(name, Reading("compose"))
    return found


def faults(known: dict[str, Reading], said: dict[str, Sentence]) -> Iterator[str]:
    """Say what does not agree, in sentences."""
    for name in sorted(known.keys() - said.keys()):
        yield f"{name} is read by {known[name].by}, and .env.example does not say what it means."
    for name in sorted(said.keys() - known.keys()):
        yield f"{name} stands in .env.example, and nobody reads it."
    for name in known.keys() & said.keys():
        default, sentence = known[name].default, said[name]
        if not sentence.words:
            yield f"{name} stands in .env.example without a sentence of its own."
        if default not in (None, NEEDED, sentence.value) and name not in COMPUTED and not sentence.is_example:
            yield f"{name} is {default!r} by default, and {sentence.value!r} in .env.example."


def table(known: dict[str, Reading], said: dict[str, Sentence], compose: str) -> str:
    """Return the section's text between its markers."""
    passed: dict[str, str] = {}
    for found in PASSED.finditer(compose):
        passed.setdefault(found[1], MADE if found[2] else found[3] or "")
    lines = []
    section = ""
    for name, sentence in said.items():
        if sentence.section != section:
            section = sentence.section
            lines += ["", f"**{section.removesuffix(' (examples)')}**", ""]
            lines += ["| variable | default | in containers | read by | meaning |", "|---|---|---|---|---|"]
        default, by = _default(name, known[name], sentence), known[name].by
        contained = _contained(name, by, passed)
        contained = "" if contained == default else contained
        lines.append(f"| `{name}` | {default} | {contained} | {by} | {_meaning(sentence)} |")
    return "\n".join([*lines[1:], ""])


def page(text: str, made: str) -> str:
    """Return the page with the table in its place. Raises ValueError where its markers are not."""
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} wants the lines {BEGIN} and {END}.")
    return f"{before}{begin}\n\n{made}\n{end}{after}"


def _asked(service: str) -> dict[str, list[Any]]:
    environment = {"PATH": os.environ.get("PATH", ""), **NOWHERE}
    answer = subprocess.run(
        [sys.executable, "-c", ASK.format(service=service)], env=environment, capture_output=True, text=True, check=True
    )
    asked: dict[str, list[Any]] = json.loads(answer.stdout)
    return asked


def _shown(asked: list[Any]) -> str:
    """Return the default as one would write it."""
    if not asked:
        return NEEDED
    (default,) = asked
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list):
        return ",".join(_shown([each]) for each in default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _default(name: str, reading: Reading, sentence: Sentence) -> str:
    if name in COMPUTED:
        return COMPUTED[name]
    default = reading.default
    if default is None:
        default = "" if sentence.is_example else sentence.value
    return default if default == NEEDED else f"`{default}`" if default else "none"


def _contained(name: str, by: str, passed: dict[str, str]) -> str:
    """Return what containers take where .env says nothing."""
    if by in ("compose", "`make run`"):
        return ""
    if name not in passed:
        return "not passed on"
    value = passed[name]
    if value in ("", MADE):
        return value
    if value.startswith(f"${{{name}:+"):  # something else where it is set, nothing where it is not
        return ""
    fallback = re.fullmatch(r"\$\{[A-Z_]+:?-(.*)\}", value)
    if fallback is None:
        return f"`{value.strip(chr(34))}`, always"
    return f"`{fallback[1]}`" if fallback[1] else ""


def _meaning(sentence: Sentence) -> str:
    words = AN_EXAMPLE.sub(lambda found: f" ({found[1]})" if found[1] else "", sentence.words)
    words = words.replace("|", "\\|").replace("*", "\\*")
    return f"{words} Example: `{sentence.value}`" if sentence.is_example else words


def main() -> int:
    """Write the table, or say what does not agree; return the exit status. --check writes nothing."""
    known, said = readings(), sentences(EXAMPLE.read_text())
    if found := list(faults(known, said)):
        sys.stderr.write("".join(f"{fault}\n" for fault in found))
        return 1
    text = PAGE.read_text()
    made = page(text, table(known, said, COMPOSE.read_text()))
    if made == text:
        return 0
    if "--check" in sys.argv[1:]:
        sys.stderr.write(f"The table in {PAGE.name} is not up to date: `make variables` makes it again.\n")
        return 1
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())

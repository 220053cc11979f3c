"""Dead letters as their reader may see them: of one's own runs everything, of others' no address whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from vestnik import addresses
from vestnik.mailings.ledger import dead_letters, own_answers, statistics
from vestnik.mailings.ledger.causes import Cause
from vestnik.mailings.ledger.models import Delivery, Run

if TYPE_CHECKING:
    from vestnik.accounts.models import User


@dataclass(frozen=True)
class Line:
    """One letter: to whom, and what was answered last."""

    delivery: Delivery
    address: str
    answer: str


def by_cause(request: HttpRequest, runs: QuerySet[Run]) -> dict[str, Any]:
    """Return what a page of causes shows: each with an example of its answers."""
    found = dead_letters.groups(runs)
    reader: Any = request.user
    return {
        "groups": [
            (group, _shown(reader, group.example, own_answers.translated(group.answer))) for group in found.groups
        ],
        "may_be_more": found.may_be_more,
        "counted": dead_letters.LATEST,
    }


def of_cause(request: HttpRequest, runs: QuerySet[Run], key: str) -> dict[str, Any]:
    """Return what a page of the letters of one cause shows. Raises Http404 where the address names none."""
    cause = Cause.of(key)
    if cause is None:
        raise Http404
    page = dead_letters.page(runs, cause, _place(request.GET.get("after", "")))
    answers = statistics.last_attempts([letter.pk for letter in page.letters])
    reader: Any = request.user
    lines = [
        Line(
            letter,
            _shown(reader, letter, letter.address),
            _shown(reader, letter, own_answers.translated(answers[letter.pk].answer)) if letter.pk in answers else "",
        )
        for letter in page.letters
    ]
    return {
        "cause": cause,
        "lines": lines,
        "after": "after" in request.GET,
        "following": "-".join(map(str, page.after)) if page.after else "",
    }


def _shown(reader: User, letter: Delivery, text: str) -> str:
    """Return the letter's address, or an answer that may quote it, as the reader may see it."""
    return addresses.shown(text if reader.pk == letter.run.owner_id else addresses.masked(text, letter.address))


def _place(after: str) -> dead_letters.Place | None:
    """Return where a page begins: behind this run's letter to this client."""
    numbers = after.split("-")
    if len(numbers) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in numbers):
        return None
    return dead_letters.Place(int(numbers[0]), int(numbers[1]))

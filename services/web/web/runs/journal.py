"""A run's letters as their reader may see them: the owner everything; others no address whole, and no names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from vestnik import addresses
from vestnik.clients.models import Client
from vestnik.mailings.ledger import own_answers, statistics
from vestnik.mailings.ledger.models import Attempt, Delivery, DeliveryEvent, DeliveryState, EventKind, Run

if TYPE_CHECKING:
    from vestnik.accounts.models import User


@dataclass(frozen=True)
class Line:
    """One letter: to whom, and what was answered last."""

    delivery: Delivery
    address: str
    name: str
    last: Attempt | None
    answer: str
    came_back: list[DeliveryEvent]


class Page(NamedTuple):
    """Lines, and the `after` of the page behind them; None where these are the last."""

    lines: list[Line]
    following: int | None


class Journal:
    """The letters of a run for one reader, narrowed by what the address says: `state`, `q`, `after`."""

    def __init__(self, run: Run, reader: User, asked: QueryDict) -> None:
        self.run = run
        self.whole = reader.pk == run.owner_id
        known = (*DeliveryState.values, *EventKind.values)
        self.state = asked.get("state", "") if asked.get("state") in known else ""
        self.text = asked.get("q", "").replace("\x00", "").strip()[: addresses.MAX_LENGTH] if self.whole else ""
        after = asked.get("after", "")
        self.after = int(after) if after.isdecimal() and len(after) < 19 else None

    @property
    def query(self) -> str:
        """Return what narrows it, for addresses."""
        return urlencode({key: value for key, value in (("state", self.state), ("q", self.text)) if value})

    def page(self) -> Page:
        """Return the page of lines after `after`."""
        deliveries, following = statistics.journal(self.run, self.state, self.text, self.after)
        last = statistics.last_attempts([delivery.pk for delivery in deliveries])
        client_ids = [delivery.client_id for delivery in deliveries]
        names, came_back = self._names(client_ids), statistics.came_back(self.run, client_ids)
        lines = [
            Line(
                delivery,
                self.shown(delivery.address),
                names.get(delivery.client_id, ""),
                attempt := last.get(delivery.pk),
                self.answered(attempt.answer, delivery.address) if attempt else "",
                came_back.get(delivery.pk, []),
            )
            for delivery in deliveries
        ]
        return Page(lines, following)

    def shown(self, text: str, address: str = "") -> str:
        """Return an address, or a text that may quote `address`, as the reader may see it."""
        return addresses.shown(text if self.whole else addresses.masked(text, address))

    def answered(self, answer: str, address: str) -> str:
        """Return what was answered about the letter to `address`, as the reader may see it."""
        return self.shown(own_answers.translated(answer), address)

    def rows(self) -> Iterator[list[str]]:
        """Return all of it, for a spreadsheet: the header, then a row for each letter.

        What is translated is so before the first row is asked for.
        """
        header = [
            _("address"),
            pgettext("person", "name"),
            _("state"),
            _("tries"),
            _("settled at"),
            _("code"),
            _("last answer"),
            _("came back"),
        ]
        states = {state.value: str(state.label) for state in (*DeliveryState, *EventKind)}
        return self._rows(header, states, timezone.get_current_timezone(), translation.get_language() or "en")

    def _rows(self, header: list[str], states: dict[str, str], zone: Any, language: str) -> Iterator[list[str]]:
        yield header
        for row in statistics.export(self.run, self.state, self.text):
            with translation.override(language):
                answer = self.answered(row.answer, row.address)
            yield [
                self.shown(row.address),
                row.full_name if self.whole else "",
                states[row.state],
                str(row.attempts),
                f"{row.settled_at.astimezone(zone):%Y-%m-%d %H:%M:%S}" if row.settled_at else "",
                "" if row.code is None else str(row.code),
                answer,
                ", ".join(states[kind] for kind in row.came_back),
            ]

    def _names(self, client_ids: list[int]) -> dict[int, str]:
        if not self.whole:
            return {}
        found = Client.objects.filter(owner_id=self.run.owner_id, pk__in=client_ids)
        return dict(found.values_list("pk", "full_name"))

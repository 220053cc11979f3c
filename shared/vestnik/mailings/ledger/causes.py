"""Why a letter is dead: the state it ended in and the answer to its last attempt, in a few words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vestnik.mailings.ledger.models import AttemptOutcome, DeliveryState

DEAD = (DeliveryState.FAILED, DeliveryState.UNKNOWN)

# What the codes of SMTP (RFC 5321, 4.2.3) and the statuses of HTTP (RFC 9110, 15) say about a letter; others by the
# outcome alone. Both use some of the same numbers, and mean other things by them: never with the same outcome.
ANSWERS: dict[str, dict[int, Any]] = {
    AttemptOutcome.TEMPORARY: {
        408: gettext_lazy("the service was tired of waiting"),
        421: gettext_lazy("the service was about to hang up"),
        429: gettext_lazy("the service wanted fewer letters"),
        450: gettext_lazy("the mailbox was busy"),
        451: gettext_lazy("the service had a fault"),
        452: gettext_lazy("the service had no room"),
        500: gettext_lazy("the service had a fault"),
        502: gettext_lazy("the service had a fault"),
        503: gettext_lazy("the service was not available"),
        504: gettext_lazy("the service had a fault"),
    },
    AttemptOutcome.PERMANENT: {
        400: gettext_lazy("the letter was refused"),
        404: gettext_lazy("the service's address is wrong"),
        405: gettext_lazy("the service's address is wrong"),
        410: gettext_lazy("the service's address is wrong"),
        413: gettext_lazy("the letter was too large"),
        422: gettext_lazy("the letter was refused"),
        550: gettext_lazy("the mailbox was refused"),
        551: gettext_lazy("the mailbox is elsewhere"),
        552: gettext_lazy("the mailbox was full, or the letter too large"),
        553: gettext_lazy("the address was refused"),
        554: gettext_lazy("the letter was refused"),
    },
}

_OTHERS: dict[str, Any] = {
    AttemptOutcome.TEMPORARY: gettext_lazy("refused for now"),
    AttemptOutcome.PERMANENT: gettext_lazy("refused for good"),
}
_KEY = re.compile(rf"({'|'.join(DEAD)})(?:-({'|'.join(AttemptOutcome.values)})(?:-([0-9]{{1,4}}))?)?")


@dataclass(frozen=True, slots=True)
class Cause:
    """What dead letters of one kind have in common."""

    state: str
    """`failed` or `unknown`."""
    outcome: str | None
    """Of the last attempt; None where there was none."""
    code: int | None
    """The service's; None where it said nothing readable."""

    @property
    def key(self) -> str:
        """One word for addresses and reports: failed-permanent-550. SQL writes it with concat_ws."""
        return "-".join(str(part) for part in (self.state, self.outcome, self.code) if part is not None)

    @classmethod
    def of(cls, key: str) -> Self | None:
        """Return the cause that the key stands for; None if it stands for none."""
        match = _KEY.fullmatch(key)
        return cls(match[1], match[2], int(match[3]) if match[3] else None) if match else None

    @property
    def sentence(self) -> str:
        """A short sentence, with the code: “550: the mailbox was refused”."""
        said = sentence(self.outcome, self.code)
        return _("set aside, it may have arrived: %(said)s") % {"said": said} if self.is_unknown else said

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows if these letters arrived."""
        return self.state == DeliveryState.UNKNOWN


def sentence(outcome: str | None, code: int | None) -> str:
    """Return the service's answer to an attempt as a short sentence, with the code."""
    if code is not None:
        known = ANSWERS.get(outcome or "", {}).get(code) or _OTHERS.get(outcome or "") or _("no readable answer")
        return f"{code}: {known}"
    if outcome == AttemptOutcome.PERMANENT:
        return _("the letter could not be written")
    return _("the connection broke") if outcome == AttemptOutcome.TEMPORARY else _("no answer")

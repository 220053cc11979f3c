"""Columns of a file that say who does not want letters: what their values mean, as other programs write them.

Mailchimp, UniSender, SendPulse, HubSpot, Brevo, listmonk and others export a status, or a flag of one of two kinds:
“unsubscribed: yes” or “subscribed: no”. What is understood is told before anything is kept, and so is what is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from vestnik.clients import column_names

MOST_TOLD = 20
"""Different values that are told of."""
LONGEST_TOLD = 40

_NEGATIVE = re.compile(
    "unsub|optout|optedout|отпис|відпис|bounce|suppress|complain|blacklist|donotmail|donotcontact|donotemail|жалоб"
    "|чернысписок|abgemeldet|desabonn|desinscr|disiscr|cancelado|wypisan"
)
"""Columns whose “yes” is a no to letters."""
_FLAG = re.compile(
    "subscribed|подписан|подписка|optin|optedin|рассылка|issubscribed|подпис|acceptsemail|acceptsmarketing|acceptsnews"
    "|consent|emailperm|newsletter|соглас|разрешен|получа|хочетполучать|абонирован|підписан|abonniert|einwilligung"
    "|suscri|iscritto|zgoda|marketing"
)
"""Columns whose “no” is one."""
_STOPS = re.compile(
    r"\b(?:unsub\w*|opted?[ _-]?out\w*|(?:hard |soft )?bounc\w*|complain\w*|spam|cleaned|suppress\w*|black-?list\w*"
    r"|block-?list\w*|blocked|non-?subscribed|not subscribed|do not (?:mail|email|contact)"
    r"|отпис\w*|відпис\w*|спам|жалоб\w*|пожаловал\w*|заблокир\w*|не ?подписан\w*|не писать"
    r"|abgemeldet|d[ée]sabonn\w*|d[ée]sinscri\w*|disiscri\w*|cancelad\w*|wypisan\w*)"
)
_NOT = re.compile(
    r"\b(?:not? |never |не |ні |нет )\s*(?:unsub|opted|bounc|complain|spam|block|black|отпис|відпис|жалоб|спам)|\bнет$"
)
"""What takes such a word back."""
_OTHER_MEANS = re.compile("sms|смс|cookie|phone|телефон|viber|whatsapp|telegram|push")
"""Columns about other ways to reach somebody."""
_YES = frozenset(
    {
        "1",
        "yes",
        "y",
        "true",
        "t",
        "on",
        "x",
        "+",
        "да",
        "так",
        "истина",
        "ja",
        "oui",
        "si",
        "sí",
        "sim",
        "tak",
        "✓",
        "✔",
    }
)
_NO = frozenset({"0", "no", "n", "false", "f", "off", "-", "нет", "ні", "ложь", "nein", "non", "não", "nao", "nie"})
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(?:[t ].{0,30})?|\d{10}|\d{13}")


class Statuses:
    """Reads the columns of one file that may say so, row by row, and remembers what it met."""

    def __init__(self, header: Sequence[str], columns: Iterable[int]) -> None:
        self._columns = [(index, column_names.key(header[index])) for index in columns]
        self.number = 0
        """Rows whose client does not want letters."""
        self.stopping: dict[str, None] = {}
        """Values that were understood so, in the order in which they came."""
        self.others: dict[str, None] = {}
        """Values that say nothing of the kind, or were not understood."""

    def stops(self, cells: Sequence[str]) -> bool:
        """Say whether this row's client does not want letters."""
        found = False
        for index, key in self._columns:
            value = cells[index].strip() if index < len(cells) else ""
            if not value:
                continue
            stops = says_stop(key, value)
            told = self.stopping if stops else self.others
            if len(told) < MOST_TOLD:
                told[value[:LONGEST_TOLD]] = None
            found = found or stops
        self.number += found
        return found


def says_stop(key: str, value: str) -> bool:
    """Say whether this value, in a column of this key (`column_names.key`), says that somebody wants no letters."""
    word = " ".join(value.casefold().split())
    if _OTHER_MEANS.search(key):
        return False
    negative, flag = _NEGATIVE.search(key), _FLAG.search(key)
    if word in _YES:
        return bool(negative)
    if word in _NO:
        return bool(flag) and not negative
    if negative and _DATE.fullmatch(word):
        return True
    return bool(_STOPS.search(word)) and not _NOT.search(word)

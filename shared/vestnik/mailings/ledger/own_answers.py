"""Sentences of Vestnik's own that stand in place of a service's answer: stored in English, as most services answer, and
shown to people in their language.
"""

import re

from django.utils.translation import gettext_lazy as _

WORKER_DIED = "The worker died with this letter in hand."

WHOLE = {
    WORKER_DIED: _("The worker died with this letter in hand."),
    "The mail service does not take addresses with letters outside ASCII (SMTPUTF8).": _(
        "The mail service does not take addresses with letters outside ASCII (SMTPUTF8)."
    ),
    "the connection broke": _("the connection broke"),
    "the connection broke before the letter": _("the connection broke before the letter"),
    "the connection was closed before the letter": _("the connection was closed before the letter"),
    "the connection was closed before an answer": _("the connection was closed before an answer"),
    "the service is closing the connection": _("the service is closing the connection"),
    "no answer in time": _("no answer in time"),
}
TOO_LARGE = re.compile(
    r"not sent: the letter has (?P<size>\d{1,12}) bytes, the service takes (?P<most>\d{1,12})", re.ASCII
)
BROKE = re.compile(r"the connection broke \((?P<why>.{1,1000})\)", re.DOTALL)
UNWRITABLE = re.compile(r"The letter cannot be written: (?P<why>.{1,1000})", re.DOTALL)


def translated(answer: str) -> str:
    """Return the answer as people read it: a sentence of ours in their language, any other as it is."""
    if answer in WHOLE:
        return str(WHOLE[answer])
    if found := TOO_LARGE.fullmatch(answer):
        said = _("not sent: the letter has %(size)s bytes, the service takes %(most)s")
    elif found := BROKE.fullmatch(answer):
        said = _("the connection broke (%(why)s)")
    elif found := UNWRITABLE.fullmatch(answer):
        said = _("The letter cannot be written: %(why)s")
    else:
        return answer
    return str(said) % found.groupdict()

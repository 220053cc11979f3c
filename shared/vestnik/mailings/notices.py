"""What the writer of a message should know although it can be sent: in sentences, in the reader's language."""

from collections.abc import Collection

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vestnik.clients import attributes
from vestnik.mailings import missing_values, rendering
from vestnik.mailings.models import Message

TOLD = 5
"""Notices of one kind that are shown: whoever mends these finds the others."""


def of_texts(message: Message) -> list[str]:
    """Return notices about the texts, whoever gets them."""
    told = []
    if message.html.strip() and not message.text.strip():
        told.append(_("The message has HTML alone: no plain text goes along for mail programs that show no HTML."))
    return told + rendering.sentences(message.doubts())


def of_clients(message: Message, owner_id: int) -> list[str]:
    """Return notices about what the message names, and the owner's clients do not have."""
    unknown = missing_values.unknown_attributes(message, owner_id)
    return of_unknown(unknown, owner_id) + of_gaps(missing_values.of_owner(message, owner_id), unknown)


def of_unknown(names: Collection[str], owner_id: int) -> list[str]:
    """Return notices about attributes that no client has."""
    known = attributes.spellings(owner_id) if names else {}
    told = []
    for name in list(names)[:TOLD]:
        said = _("None of your clients has the attribute %(name)s.") % {"name": name}
        if meant := rendering.nearest_of(attributes.key(name), known):
            said += " " + _("Did you mean %(name)s?") % {"name": f"{{{{ attributes.{meant} }}}}"}
        told.append(said)
    return told


def of_gaps(found: missing_values.MissingValues, unknown: Collection[str] = ()) -> list[str]:
    """Return notices about values that are empty, but for those of attributes that no client has."""
    told = []
    for name, empty in found.empty.items():
        if name.removeprefix("attributes.") in unknown:
            continue
        said = ngettext(
            "%(empty)s of %(looked_at)s client has no %(name)s, and nothing stands in for it.",
            "%(empty)s of %(looked_at)s clients have no %(name)s, and nothing stands in for it.",
            found.looked_at,
        )
        if not found.complete:
            said = _("Of the first %(looked_at)s clients %(empty)s have no %(name)s, and nothing stands in for it.")
        told.append(said % {"empty": _number(empty), "looked_at": _number(found.looked_at), "name": name})
    if told:
        told[TOLD:] = [_('What stands in for an empty value is written so: {{ full_name | default: "friend" }}.')]
    return told


def _number(number: int) -> str:
    return number_format(number, force_grouping=True)

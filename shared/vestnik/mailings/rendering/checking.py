"""What is checked when a template is saved."""

from collections.abc import Callable, Mapping

from django.utils.translation import gettext as _

from vestnik.mailings.rendering import braces, foreign, places
from vestnik.mailings.rendering.faults import Fault, Kind, TemplateError, UnknownPlaceholder, at

MOST_PLACEHOLDERS = 1000
"""Placeholders in one text of a message."""


class TooManyPlaceholders(ValueError):
    """A text has more placeholders than MOST_PLACEHOLDERS; the text of the error says so in a sentence."""


def placeholders(template: str, html: bool = False) -> set[str]:
    """Return the names between {{ and }}: known ones in their canonical form, others as they are written."""
    found = braces.find(template, html, MOST_PLACEHOLDERS)
    others = {fault.name for fault in found.faults if fault.kind is not Kind.BRACE}
    return {placeholder.name for placeholder in found.placeholders} | others


def without_default(template: str, html: bool = False) -> set[str]:
    """Return the names that have no default in at least one place."""
    return {
        placeholder.name
        for placeholder in braces.find(template, html, MOST_PLACEHOLDERS).placeholders
        if not placeholder.default.strip()
    }


def doubts(
    template: str, html: bool = False, spellings: Callable[[], Mapping[str, str]] = dict[str, str]
) -> list[Fault]:
    """Return what is sent as it stands, and may have been meant for a placeholder.

    `spellings` returns the owner's names of attributes (`vestnik.clients.attributes`).
    """
    return [*braces.find(template, html, MOST_PLACEHOLDERS).doubts, *foreign.find(template, html, spellings)]


def check(template: str, html: bool = False) -> None:
    """Raise TemplateError for what was meant for a placeholder and is none, and for one where no value can stand.

    UnknownPlaceholder if it names what no letter has; TooManyPlaceholders for too many.
    """
    found = braces.find(template, html, MOST_PLACEHOLDERS)
    if found.faults:
        unknown = any(fault.kind is not Kind.BRACE for fault in found.faults)
        raise (UnknownPlaceholder if unknown else TemplateError)(list(found.faults))
    if len(found.placeholders) > MOST_PLACEHOLDERS:
        raise TooManyPlaceholders(_("At most %(limit)d placeholders can be filled in.") % {"limit": MOST_PLACEHOLDERS})
    if impossible := places.of(template, found.placeholders, html).impossible:
        spans = [(found.placeholders[number].start, found.placeholders[number].end) for number in impossible]
        raise TemplateError([at(template, *span, Kind.PLACE) for span in spans[: braces.ENOUGH]])

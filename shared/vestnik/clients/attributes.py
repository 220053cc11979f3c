"""Attributes of clients: what they may be called, how much they may hold, and how an owner spells them.

A client has texts under names. A name is one that a message can name (`{{ attributes.city }}`). Of spellings that
differ in case, width, composition or what stands between words, an owner has one: the first that came.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from vestnik import fields
from vestnik.names import same

NAME_LENGTH = 100
VALUE_LENGTH = 2_000
MOST = 200
"""Attributes of one client."""
MOST_BYTES = 32 << 10
"""Bytes of one client's names and values together, in UTF-8."""
MOST_NAMES = 2_000
"""Names of all attributes of an owner's clients."""

FORGET_EVERY = 600
"""Seconds before a form may have an owner's unused names deleted again."""

_LOOKED_AT = 400


class AttributeName(models.Model):
    """How an owner spells an attribute of clients."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    key = models.TextField(db_collation="C")
    name = models.CharField(max_length=NAME_LENGTH)

    class Meta:
        verbose_name = _("attribute's name")
        verbose_name_plural = _("attributes' names")
        constraints = [
            # Also serves reading an owner's names.
            models.UniqueConstraint(fields=["owner", "key"], name="attribute_once_per_owner"),
        ]

    def __str__(self) -> str:
        return self.name


def named(text: str) -> str:
    """Return the attribute's name that a header or a placeholder's text makes; empty where there is nothing to name it
    by.

    “Date of birth” becomes Date_of_birth, “%” percent_sign. A text that is a name already stays as it is.
    """
    seen = "".join(letter for letter in text[:_LOOKED_AT] if letter.isspace() or same(letter))
    plain = unicodedata.normalize("NFKC", seen)
    name = _joined(plain) or _joined(" ".join(unicodedata.name(letter, "").lower() for letter in plain))
    name = unicodedata.normalize("NFKC", name)
    return (name if not name or name.isidentifier() else f"_{name}")[:NAME_LENGTH]


def _joined(text: str) -> str:
    """Return what of the text may stand in a name, with underscores for all that stands between."""
    return "_".join("".join(letter if f"_{letter}".isidentifier() else " " for letter in text).split())


@lru_cache(maxsize=4096)
def key(text: str) -> str:
    """Return the key by which names are compared: texts with equal keys name one attribute of an owner's clients."""
    return same(named(text))


def validate(value: Any) -> None:
    """Refuse anything but a flat object of texts under names that a message can name, and what is too large.

    Raises ValidationError.
    """
    if not isinstance(value, dict):
        raise ValidationError(_("Attributes are an object of names and texts."))
    if len(value) > MOST:
        raise ValidationError(
            _("There are %(number)d attributes; a client may have at most %(limit)d."),
            params={"number": len(value), "limit": MOST},
        )
    for name, text in value.items():
        fields.validate_characters(name)
        if not isinstance(text, str):
            raise ValidationError(_("The attribute “%(name)s” is not a text."), params={"name": _short(name)})
        if len(name) > NAME_LENGTH or not name.isidentifier():
            raise ValidationError(
                _("“%(name)s” cannot name an attribute: letters, digits and underscores, at most %(limit)d."),
                params={"name": _short(name), "limit": NAME_LENGTH},
            )
        if len(text) > VALUE_LENGTH:
            raise ValidationError(
                _("The attribute “%(name)s” has %(length)d characters; at most %(limit)d are allowed."),
                params={"name": _short(name), "length": len(text), "limit": VALUE_LENGTH},
            )
        fields.validate_text(text)
    if (size := size_of(value)) > MOST_BYTES:
        raise ValidationError(
            _("The attributes have %(size)d bytes together; at most %(limit)d are allowed for a client."),
            params={"size": size, "limit": MOST_BYTES},
        )


def size_of(attributes: Mapping[str, str]) -> int:
    """Return how many bytes a client's names and values have together, in UTF-8."""
    return sum(len(name.encode()) + len(text.encode()) for name, text in attributes.items())


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:59]}…"


def spellings(owner_id: int) -> dict[str, str]:
    """Return how the owner's attributes are spelled, by their keys."""
    return dict(AttributeName.objects.filter(owner=owner_id).values_list("key", "name"))


def learn(owner_id: int, names: Iterable[str], *, in_a_form: bool = False) -> dict[str, str]:
    """Return the owner's spellings by their keys, after those of `names` that are new were added.

    Raises ValidationError where the owner has too many. Names that no client has are deleted to make room; if asked for
    `in_a_form`, only every FORGET_EVERY seconds. Call it in a transaction in which no client is locked yet: an import,
    too, learns names first and locks clients after.
    """
    known = spellings(owner_id)
    asked: dict[str, str] = {}
    for name in names:
        asked.setdefault(key(name), named(name))
    new = {key: name for key, name in asked.items() if key not in known}
    if not new:
        return known
    if len(known) + len(new) > MOST_NAMES and not (in_a_form and _was_just_done(owner_id)):
        _forget_unused(owner_id, keep=list(asked))
        known = spellings(owner_id)
        new = {key: name for key, name in asked.items() if key not in known}
    if len(known) + len(new) > MOST_NAMES:
        raise ValidationError(
            _("Your clients would have more than %(limit)d different attributes."), params={"limit": MOST_NAMES}
        )
    # In one order, so that two who learn at once wait for each other instead of locking each other out.
    rows = [AttributeName(owner_id=owner_id, key=key, name=name) for key, name in sorted(new.items())]
    AttributeName.objects.bulk_create(rows, ignore_conflicts=True)
    return spellings(owner_id)


def respelled(owner_id: int, attributes: dict[str, str]) -> dict[str, str]:
    """Return valid attributes as the owner spells them, with the texts stripped, and without empty ones.

    Raises ValidationError where two are one. Call it in a transaction.
    """
    written: dict[str, str] = {}
    first: dict[str, str] = {}
    for name, text in attributes.items():
        if not (stripped := text.strip()):
            continue
        if (twin := first.setdefault(key(name), name)) != name:
            raise ValidationError(
                _("“%(first)s” and “%(second)s” would be one attribute."),
                params={"first": _short(twin), "second": _short(name)},
            )
        written[name] = stripped
    known = learn(owner_id, written, in_a_form=True)
    return {known[key(name)]: text for name, text in written.items()}


def _was_just_done(owner_id: int) -> bool:
    """Say whether unused names were deleted a moment ago, and note that now they are: it reads all of the owner's
    clients.
    """
    return not cache.add(f"vestnik:names:{owner_id}", 1, FORGET_EVERY)


def _forget_unused(owner_id: int, keep: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FORGET_UNUSED, {"owner": owner_id, "keep": keep})


# Only where the names become too many: all of the owner's clients are read.
FORGET_UNUSED = """
    DELETE FROM clients_attributename WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM clients_attributename
        WHERE owner_id = %(owner)s AND key <> ALL (%(keep)s::text[]) AND name NOT IN (
            SELECT DISTINCT jsonb_object_keys(attributes) FROM clients_client WHERE owner_id = %(owner)s
        )
        ORDER BY key FOR UPDATE
    ))
"""

"""E-mail addresses: one normal form, in which they are compared, stored and written to; and as people write them."""

import re
import unicodedata
from functools import lru_cache

import idna
from django.utils.translation import gettext, gettext_lazy
from email_validator import EmailNotValidError, validate_email
from email_validator.types import ValidatedEmail

MAX_LENGTH = 254
"""Octets of an address, by RFC 3696's erratum 1690: what fits between the angle brackets of RFC 5321's path."""

# Nearly every address is of this plain form, already normal but for its case; the library takes twenty times as long.
_PLAIN = re.compile(
    r"(?=.{1,64}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}", re.ASCII
)
_WRITTEN = re.compile(r"([^\s@<>(),:;\[\]])[^\s@<>(),:;\[\]]*(?=@\S)")  # what stands before an @ in a text
_REVIEWED = re.compile(r"(?:^|\.)(?:xn--|..--)|\.(?:arpa|invalid|local|localhost|onion|test)$")


_LOCAL_LENGTH = 64
_LABEL_LENGTH = 63
_LONGEST_WRITTEN = 4 * MAX_LENGTH
"""Characters of an address before it is made normal; what is longer is not even looked at."""
_UNUSUAL = "The email address contains unusual forms of letters before the @-sign."
_TOO_LONG = "The email address is too long."

# The library's sentences that people meet, up to a colon: characters are named after it.
_SENTENCES = (
    gettext_lazy("An email address must have an @-sign."),
    gettext_lazy("There must be something before the @-sign."),
    gettext_lazy("There must be something after the @-sign."),
    gettext_lazy("An email address cannot have two periods in a row."),
    gettext_lazy("An email address cannot have a period immediately before the @-sign."),
    gettext_lazy("An email address cannot have a period immediately after the @-sign."),
    gettext_lazy("An email address cannot start with a period."),
    gettext_lazy("An email address cannot end with a period."),
    gettext_lazy("The email address contains invalid characters before the @-sign"),
    gettext_lazy("The part after the @-sign contains invalid characters"),
    gettext_lazy("Internationalized characters before the @-sign are not supported"),
    gettext_lazy("The part after the @-sign is not valid. It should have a period."),
    gettext_lazy("The part after the @-sign is not valid. It is not within a valid top-level domain."),
    gettext_lazy("The part after the @-sign is a special-use or reserved name that cannot be used with email."),
    gettext_lazy("A display name and angle brackets around the email address are not permitted here."),
    gettext_lazy("The email address contains unusual forms of letters before the @-sign."),
    gettext_lazy("The email address is too long."),
    gettext_lazy("The email address contains unsafe characters"),
)


class InvalidAddress(ValueError):
    """No letter can be sent there; the text says why, in a sentence for people."""

    @property
    def reason(self) -> str:
        """The same in the reader's language, where the sentence is known."""
        sentence, colon, characters = str(self).partition(": ")
        return f"{gettext(sentence)}{colon}{characters}"


def normalise(address: str, *, ascii_only: bool = False) -> str:
    """The normal form of `address`: NFC, lower case, its domain in ASCII (IDNA 2008).

    What stands before the @ may have letters of any script (RFC 6531): such an address takes letters only by way of a
    mail service that offers SMTPUTF8. `ascii_only` is for addresses that stand in everybody's letters. Raises
    InvalidAddress.
    """
    if len(address) > _LONGEST_WRITTEN:
        raise InvalidAddress(_TOO_LONG)
    plain = address.strip().lower()
    if len(plain) <= MAX_LENGTH and _PLAIN.fullmatch(plain) and not _REVIEWED.search(plain.rpartition("@")[2]):
        return plain
    try:
        checked: ValidatedEmail = validate_email(
            address.strip(),
            check_deliverability=False,
            allow_smtputf8=not ascii_only,
            test_environment=True,
            strict=True,
        )
    except EmailNotValidError as error:
        raise InvalidAddress(str(error)) from None
    local = unicodedata.normalize("NFC", checked.local_part.lower())
    normal = f"{local}@{checked.ascii_domain.lower()}"
    if unicodedata.normalize("NFKC", local) != local:  # such as full-width letters: nobody has them in an address
        raise InvalidAddress(_UNUSUAL)
    if len(local.encode()) > _LOCAL_LENGTH or len(normal.encode()) > MAX_LENGTH:
        raise InvalidAddress(_TOO_LONG)
    return normal


def domain(address: str) -> str:
    """The part behind the @ of a normalised address."""
    return address.rpartition("@")[2]


def shown(address: str) -> str:
    """A normalised address as people write it: bob@пример.рф. What is none stays as it is."""
    local, at, name = address.rpartition("@")
    return f"{local}{at}{_shown_domain(name)}" if at and "xn--" in name else address


def sought(text: str) -> list[str]:
    """What a person looks for, in the forms in which a part of a stored address may have it."""
    wanted = unicodedata.normalize("NFC", text[: 2 * MAX_LENGTH]).replace("\x00", "").strip().lower()
    local, at, name = wanted.rpartition("@")
    return list(dict.fromkeys((wanted, f"{local}{at}{_in_ascii(name)}")))


@lru_cache(maxsize=1024)
def _shown_domain(name: str) -> str:
    try:
        written: str = idna.decode(name)
        return written if idna.encode(written).decode() == name else name
    except (idna.IDNAError, UnicodeError):
        return name


def _in_ascii(name: str) -> str:
    """The labels of a domain in ASCII, but for those that are not whole."""
    labels = []
    for label in name.split("."):
        try:
            labels.append(label if label.isascii() or len(label) > _LABEL_LENGTH else idna.encode(label).decode())
        except (idna.IDNAError, UnicodeError):
            labels.append(label)
    return ".".join(labels)


def masked(text: str, address: str = "") -> str:
    """`text` with each address in it cut down to its first letter and its domain: a…@example.org.

    What stands before the @ of `address` is cut down also where it stands alone, as in “alice: user unknown”.
    """
    text = _WRITTEN.sub(r"\1…", text)
    local = address.rpartition("@")[0]
    return re.sub(rf"(?<![\w.+-]){re.escape(local)}(?![\w.+-])", f"{local[0]}…", text, flags=re.I) if local else text

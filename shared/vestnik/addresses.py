"""E-mail addresses: one normal form, in which they are compared, stored and written to."""

import re

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
)


class InvalidAddress(ValueError):
    """No letter can be sent there; the text says why, in a sentence for people."""

    @property
    def reason(self) -> str:
        """The same in the reader's language, where the sentence is known."""
        sentence, colon, characters = str(self).partition(": ")
        return f"{gettext(sentence)}{colon}{characters}"


def normalise(address: str) -> str:
    """The normal form of `address`: NFC, lower case, its domain in ASCII (IDNA 2008).

    Raises InvalidAddress. A local part with other than ASCII characters is refused: few servers take it.
    """
    plain = address.strip().lower()
    if len(plain) <= MAX_LENGTH and _PLAIN.fullmatch(plain) and not _REVIEWED.search(plain.rpartition("@")[2]):
        return plain
    try:
        checked: ValidatedEmail = validate_email(
            address.strip(), check_deliverability=False, allow_smtputf8=False, test_environment=True, strict=True
        )
    except EmailNotValidError as error:
        raise InvalidAddress(str(error)) from None
    return f"{checked.ascii_local_part}@{checked.ascii_domain}".lower()


def domain(address: str) -> str:
    """The part behind the @ of a normalised address."""
    return address.rpartition("@")[2]


def masked(text: str, address: str = "") -> str:
    """`text` with each address in it cut down to its first letter and its domain: a…@example.org.

    What stands before the @ of `address` is cut down also where it stands alone, as in “alice: user unknown”.
    """
    text = _WRITTEN.sub(r"\1…", text)
    local = address.rpartition("@")[0]
    return re.sub(rf"(?<![\w.+-]){re.escape(local)}(?![\w.+-])", f"{local[0]}…", text, flags=re.I) if local else text

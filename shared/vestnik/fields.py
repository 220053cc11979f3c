"""Model fields and validators that several apps share."""

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from vestnik import addresses, zones

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def validate_one_line(value: str) -> None:
    """Refuse line breaks and other control characters (ValidationError): the value may stand in a header."""
    validate_characters(value)
    if _CONTROL.search(value):
        raise ValidationError(_("Line breaks and control characters are not allowed here."), code="control_characters")


def validate_characters(value: str) -> None:
    """Refuse lone surrogates (ValidationError), which JSON and the command line can bring, but no encoding has."""
    if _LONE_SURROGATE.search(value):
        raise ValidationError(
            _("The text contains half a character; is it cut, or in another encoding?"), code="surrogate"
        )


def validate_text(value: str) -> None:
    """Refuse what PostgreSQL cannot store (ValidationError): NUL, and lone surrogates."""
    validate_characters(value)
    if "\x00" in value:
        raise ValidationError(_("The text contains a NUL character; is it a binary file?"), code="nul")


def validate_time_zone(name: str) -> None:
    """Refuse what is no name of an IANA time zone (ValidationError)."""
    if name not in zones.known():
        raise ValidationError(
            _("“%(name)s” is not a known time zone; an IANA name such as Europe/Moscow is wanted."),
            code="time_zone",
            params={"name": name},
        )


class AddressField(_CharField):
    """An e-mail address in its normal form (`vestnik.addresses`), whatever form it was assigned in.

    `ascii_only` is for addresses of accounts, which stand in others' letters.
    """

    default_error_messages = {"invalid": _("This is not an e-mail address letters can be sent to: %(reason)s")}

    def __init__(self, *args: Any, ascii_only: bool = False, **kwargs: Any) -> None:
        self.ascii_only = ascii_only
        kwargs.setdefault("max_length", addresses.MAX_LENGTH)
        kwargs.setdefault("db_collation", "C")
        super().__init__(*args, **kwargs)

    def to_python(self, value: Any) -> Any:
        """Return the address in its normal form. Raises ValidationError, which says what is wrong with it."""
        value = super().to_python(value)
        if value in self.empty_values:
            return value
        try:
            return addresses.normalise(value, ascii_only=self.ascii_only)
        except addresses.InvalidAddress as error:
            raise ValidationError(
                self.error_messages["invalid"], code="invalid", params={"reason": error.reason}
            ) from None

    def get_prep_value(self, value: Any) -> Any:
        """Return the normal form as rows have it; of what no row can have, a text that finds none."""
        value = super(models.CharField, self).get_prep_value(value)
        if value in self.empty_values:
            return value
        try:
            return addresses.normalise(value)
        except addresses.InvalidAddress:
            # A search for what no row can have finds none; saving is guarded by full_clean.
            return _LONE_SURROGATE.sub("\ufffd", value)

    def formfield(self, *args: Any, **kwargs: Any) -> Any:
        # Browsers refuse in an <input type="email"> what we take, letters of other scripts before the @.
        written = forms.EmailInput if self.ascii_only else forms.TextInput({"inputmode": "email"})
        return super().formfield(*args, **{"form_class": WrittenAddressField, "widget": written, **kwargs})


class WrittenAddressField(forms.CharField):
    """Shows an address as people write it."""

    def prepare_value(self, value: Any) -> Any:
        """Return the address as people write it."""
        return addresses.shown(value) if isinstance(value, str) else value


def one_line(verbose_name: Any, max_length: int, **kwargs: Any) -> Any:
    """Return a CharField whose value may stand in a letter's header."""
    return models.CharField(verbose_name, max_length=max_length, validators=[validate_one_line], **kwargs)


def time_zone_field(verbose_name: Any, **kwargs: Any) -> Any:
    """Return a CharField that holds the name of an IANA time zone."""
    return models.CharField(verbose_name, max_length=64, validators=[validate_time_zone], **kwargs)

"""The door of both services' manage.py, and what their commands share: a fault is said in a sentence, not in a
traceback, and ends the command with 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.core.exceptions import NON_FIELD_ERRORS, ImproperlyConfigured, ValidationError
from django.core.management import CommandError
from django.db import OperationalError

if TYPE_CHECKING:
    from vestnik.accounts.models import User


def main(settings_module: str) -> None:
    """Run Django's command line; exit with 2 if the configuration is wrong."""
    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    from django.conf import settings
    from django.core.management import execute_from_command_line

    try:
        settings.INSTALLED_APPS  # noqa: B018  (reads the settings, and so the environment)
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.stderr.write(f"Vestnik is misconfigured. {error}\n")
        sys.exit(2)
    except OperationalError as error:
        first = str(error).splitlines()[0]
        if "password authentication failed" in first:
            first = "The database refuses the password in DATABASE_URL (in containers: POSTGRES_PASSWORD in .env)."
        else:
            first = f"The database does not answer; does everything run? {first}"
        sys.stderr.write(f"{first}\n")
        sys.exit(1)


def bad_usage(sentence: str, option: str = "") -> CommandError:
    """Return what a command raises when it was asked for the impossible: the exit code is 2."""
    return CommandError(f"{option}: {sentence}" if option else sentence, returncode=2)


@contextmanager
def refusals(options: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turn a core verb's ValidationError into `bad_usage`. `options` maps fields to the options that gave them."""
    try:
        yield
    except ValidationError as refusal:
        raise bad_usage("\n".join(_sentences(refusal, options or {}))) from None


def find_owner(email: str) -> User:
    """Return the user with this address, who may own objects. Raises `bad_usage` if there is none, or they may not."""
    from vestnik import access
    from vestnik.accounts.models import User

    user = User.objects.filter(email=email).first()
    if user is None:
        raise bad_usage(f"There is no user {email}.", "--owner")
    if not access.may_own(user):
        raise bad_usage(f"{user} may own nothing: blocked, not confirmed, or a manager.", "--owner")
    return user


def _sentences(refusal: ValidationError, options: Mapping[str, str]) -> Iterator[str]:
    if not hasattr(refusal, "error_dict"):
        refusal = ValidationError({NON_FIELD_ERRORS: refusal})
    for field, messages in refusal.message_dict.items():
        option = options.get(field, "" if field == NON_FIELD_ERRORS else field)
        for message in messages:
            yield f"{option}: {message}" if option else message

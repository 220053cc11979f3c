"""Sign the links in letters with a new key from now on: a door to the core."""

from typing import Any

from django.core.management import BaseCommand

from vestnik.command_line import bad_usage
from vestnik.mailings import letter_tokens


class Command(BaseCommand):
    help = (
        "Make a new key for the links by which people unsubscribe. Links in letters that went out before stay good"
        " until the row of their key is deleted."
    )

    def handle(self, *_args: Any, **_options: Any) -> str:
        try:
            version = letter_tokens.renew_key()
        except ValueError as error:
            raise bad_usage(str(error)) from None
        return f"Letters are signed with key {version} now."

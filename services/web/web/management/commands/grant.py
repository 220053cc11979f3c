"""Put somebody into a group, or take them out: a door to the core's verbs."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand

from vestnik.accounts import groups, verbs
from vestnik.accounts.models import User
from vestnik.command_line import bad_usage

ROLES = {"manager": groups.MANAGERS, "content_manager": groups.CONTENT_MANAGERS}


class Command(BaseCommand):
    help = (
        "Make somebody a manager (who supervises mailings and people, and makes no mailings any more) or a content"
        " manager (who writes the blog), or end that. Exit code 2 and a sentence: nothing was changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", metavar="EMAIL")
        parser.add_argument("role", choices=ROLES)
        parser.add_argument("--revoke", action="store_true", help="take it away")

    def handle(self, *_args: Any, email: str, role: str, revoke: bool, **_options: Any) -> str:
        user = User.objects.filter(email=email).first()
        if user is None:
            raise bad_usage(f"There is no user {email}.")
        change = verbs.leave if revoke else verbs.join
        changed = change(user, ROLES[role])
        spoken = role.replace("_", " ")
        if revoke:
            return f"{user} is no {spoken} any more." if changed else f"{user} was no {spoken}."
        return f"{user} is a {spoken} now." if changed else f"{user} is a {spoken} already."

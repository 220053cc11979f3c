"""`demo`: something to look at, and who can sign in to look at it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from vestnik import demo
from vestnik.accounts.models import User
from vestnik.command_line import refusals


class Command(BaseCommand):
    help = (
        "Make the demo, unless it is there: a user with three hundred clients and mailings in every state, a manager, a"
        " content manager and an administrator. Print how to sign in."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--if-empty", action="store_true", help="only in an installation without users")

    def handle(self, **options: Any) -> None:
        if options["if_empty"] and not demo.is_there() and User.objects.exists():
            self.stdout.write("There are users already: no demo was made.")
            return
        with refusals():
            new = demo.fill()
        width = max(len(account.email) for account in demo.ACCOUNTS)
        self.stdout.write(f"Sign in with the password {demo.password()} as\n\n")
        for user in User.objects.filter(email__in=[account.email for account in demo.ACCOUNTS]).order_by("pk"):
            account = next(account for account in demo.ACCOUNTS if account.email == user.email)
            changed = "" if new or user.check_password(demo.password()) else " (with the password you gave it)"
            self.stdout.write(f"  {account.email:<{width}}  {account.purpose}{changed}")

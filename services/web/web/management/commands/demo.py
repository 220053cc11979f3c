"""`demo`: something to look at in an empty installation."""

from typing import Any

from django.core.management.base import BaseCommand

from vestnik import demo
from vestnik.accounts.models import User


class Command(BaseCommand):
    help = (
        "Fill an installation without users with a demo owner, a dozen clients and a first mailing; print the sign-in."
    )

    def handle(self, **_options: Any) -> None:
        demo.fill()
        owner = User.objects.filter(email=demo.EMAIL).first()
        if owner is None:
            self.stdout.write("There are users already: no demo was made.")
        elif owner.check_password(demo.password()):
            self.stdout.write(f"Sign in as {demo.EMAIL} with the password {demo.password()}")
        else:
            self.stdout.write(f"Sign in as {demo.EMAIL} with the password you gave it.")

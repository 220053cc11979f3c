"""How a person is found who signs in."""

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.http import HttpRequest

from vestnik.accounts.models import User


class AddressBackend(AuthenticationBackend):
    """By the core's address, never by allauth's copies of it, and with one hashing whether or not anybody is found.

    The unconfirmed are not found, be the password right or wrong: who signed up with an address would learn by it
    whether it had been free. They are where `unconfirmed` is among the credentials, that is, for who has shown already
    that the account is theirs.
    """

    def _authenticate(
        self, request: HttpRequest | None, email: str = "", password: str = "", unconfirmed: bool = False, **_other: Any
    ) -> User | None:
        user = self._check_password(User.objects.filter(email=email).first(), password)
        return user if user and (user.is_confirmed or unconfirmed) else None

"""How a person is found who signs in."""

from allauth.account.auth_backends import AuthenticationBackend

from vestnik.accounts.models import User


class AddressBackend(AuthenticationBackend):
    """By the core's address, never by allauth's copies of it, and with one hashing whether or not anybody is found."""

    def _authenticate_by_email(self, email: str, password: str) -> User | None:
        return self._check_password(User.objects.filter(email=email).first(), password)

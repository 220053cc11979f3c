"""What people do with their own account. Bad input is a ValidationError, keyed by field."""

from vestnik import clock
from vestnik.accounts.models import User


def save_profile(user: User, *, full_name: str, language: str, time_zone: str) -> User:
    """Save what the user says about themself."""
    said = {"full_name": full_name.strip(), "language": language, "time_zone": time_zone}
    for name, value in said.items():
        setattr(user, name, value)
    user.clean_fields(exclude={field.name for field in User._meta.fields} - said.keys())
    user.save(update_fields=[*said])
    return user


def confirm(user: User) -> None:
    """Note that the user's mailbox is theirs; when it was noted first stays."""
    if user.confirmed_at is None:
        user.confirmed_at = clock.now()
        user.save(update_fields=["confirmed_at"])

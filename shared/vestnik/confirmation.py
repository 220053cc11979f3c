"""What follows when an address is confirmed: above accounts and sharing, for accounts know nothing of sharing."""

from vestnik import clock, sharing
from vestnik.accounts.models import User


def confirm(user: User) -> None:
    """Record that the user has confirmed their address, and give them what was shared with it.

    The moment of the first confirmation stays.
    """
    if user.confirmed_at is None:
        user.confirmed_at = clock.now()
        user.save(update_fields=["confirmed_at"])
    sharing.receive(user)

"""What a confirmed address brings: it stands above accounts and sharing, for accounts know nothing of sharing."""

from vestnik import clock, sharing
from vestnik.accounts.models import User


def confirm(user: User) -> None:
    """Note that the user's mailbox is theirs, and give them what was shared with its address; when it was noted first
    stays.
    """
    if user.confirmed_at is None:
        user.confirmed_at = clock.now()
        user.save(update_fields=["confirmed_at"])
    sharing.receive(user)

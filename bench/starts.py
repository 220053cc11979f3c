"""How punctual starts are: mailings planned some seconds ahead, and when their first letter reaches the receiver."""

import statistics
import time
from datetime import timedelta

from bench.installation import installation
from tests.scripted_servers import SmtpServer

STARTS = 20
APART = 1.5


def run(starts: int = STARTS) -> None:
    """Print how late the first letters were, and how many kept to the second."""
    with SmtpServer() as server, installation(f"smtp://127.0.0.1:{server.port}?connections=10"):
        from vestnik import clock
        from vestnik.accounts.models import User
        from vestnik.testing.factories import make_mailing

        owner = User.objects.create_user("bench@example.org")
        planned = {}
        database, here = clock.now(), time.monotonic()
        for number in range(starts):
            start = database + timedelta(seconds=5 + number * APART)
            mailing = make_mailing(owner, 10, start=start)
            for client in mailing.lists.get().clients.all():
                planned[client.email] = (number, here + 5 + number * APART)
        letters = server.wait_for(starts * 10, 60 + starts * APART)
    late: dict[int, float] = {}
    for letter in letters:
        number, due = planned[letter.recipient]
        late[number] = min(late.get(number, 1e9), letter.arrived - due)
    kept = sum(seconds <= 1 for seconds in late.values())
    print(
        f"starts: {kept} of {starts} first letters within a second of the planned start "
        f"(median {statistics.median(late.values()):.2f} s, latest {max(late.values()):.2f} s, "
        f"earliest {min(late.values()):.2f} s)"
    )

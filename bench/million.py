"""Large runs beside small ones in the same installation: a letter must not cost more for there being a million."""

import io
import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench import wire
from bench.installation import installation
from bench.mailing import CONNECTIONS, send

if TYPE_CHECKING:
    from vestnik.accounts.models import User

SMALL = 20_000
FIRST = 100_000
MILLION = 1_000_000
ROUNDS = 3
"""Small runs beside each large one; their median counts."""


def first(large: int = FIRST, small: int = SMALL, rounds: int = ROUNDS) -> None:
    """Measure the first run of an installation, of which nobody knows anything yet, beside small ones after it."""
    with wire.sink() as port, installation(f"smtp://{wire.HOST}:{port}?connections={CONNECTIONS}"):
        owner = _make_owner(large=large, small=small)
        rate, _ = send(owner, "large")
        others = [send(owner, "small")[0] for _ in range(rounds)]
    _tell("first", f"{large:,} letters, the first run of its installation", rate, others, small)


def run(large: int = MILLION, small: int = SMALL, rounds: int = ROUNDS) -> None:
    """Measure a run of a million letters, between small ones."""
    with wire.sink() as port, installation(f"smtp://{wire.HOST}:{port}?connections={CONNECTIONS}"):
        owner = _make_owner(large=large, small=small, few=200)
        send(owner, "few")
        others = [send(owner, "small")[0] for _ in range(rounds - 1)]
        rate, _ = send(owner, "large")
        others.append(send(owner, "small")[0])
    _tell("million", f"{large:,} letters", rate, others, small)


def _tell(name: str, what: str, rate: float, others: list[float], small: int) -> None:
    beside = statistics.median(others)
    print(f"{what}: {rate:,.0f}/s end to end; {small:,} letters: {', '.join(f'{each:,.0f}/s' for each in others)}")
    print(f"{name}: {rate / beside:.2f} of the rate of a small run (the median of {len(others)}; sound from 0.80)")


def _make_owner(**lists: int) -> "User":
    """Make an owner with lists of so many clients each, imported from files as people do it."""
    from vestnik.accounts.models import User
    from vestnik.clients.import_files import Rejected, import_file

    owner = User.objects.create_user("bench@example.org")
    for name, number in lists.items():
        file = io.BytesIO(b"".join(_lines(name, number)))
        import_file(owner, file, Rejected(io.BytesIO), list_name=name)
    return owner


def _lines(name: str, number: int) -> Iterator[bytes]:
    yield b"email,full_name,city\n"
    for n in range(number):
        yield f"{name}{n}@example.org,Client {n},Riga\n".encode()

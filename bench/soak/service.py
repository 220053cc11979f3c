"""The external service of a soak: takes a letter when it has read it, answers a moment later, and counts."""

from collections import Counter
from dataclasses import dataclass, field

from tests.scripted_servers import SmtpLetter, SmtpServer


@dataclass(slots=True, kw_only=True)
class CountingServer(SmtpServer):
    """Letters by Message-ID. What was read to its final dot counts, though the sender be dead before the answer."""

    received: Counter[str] = field(init=False, default_factory=Counter)

    def record(self, letter: SmtpLetter) -> None:
        self.received[letter.message_id] += 1

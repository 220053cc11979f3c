"""`BOUNCE_MAILBOX`: how the address of a mailbox is read (mailbox.py reads the mailbox)."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

PORTS = {"imaps": 993, "imap": 143}


class WrongMailbox(ValueError):
    """The address of the mailbox is wrong; `str(error)` is one sentence that never holds the password."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where the mailbox is."""

    host: str
    port: int
    encrypted: bool
    user: str
    password: str = field(repr=False)
    folder: str

    @classmethod
    def parse(cls, url: str) -> Mailbox:
        """Read imaps://user:password@host/folder, user and password percent-encoded. Raises WrongMailbox."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise WrongMailbox("it cannot be read; imaps://user:password@host/INBOX is wanted.") from None
        if parts.scheme not in PORTS or not (parts.hostname and parts.username and parts.password):
            raise WrongMailbox("imaps://user:password@host/INBOX is wanted.")
        return cls(
            host=parts.hostname,
            port=port or PORTS[parts.scheme],
            encrypted=parts.scheme == "imaps",
            user=unquote(parts.username),
            password=unquote(parts.password),
            folder=unquote(parts.path.strip("/")) or "INBOX",
        )

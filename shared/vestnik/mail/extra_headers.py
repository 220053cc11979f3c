"""Header lines that an operator adds to letters, because the mail service wants them."""

import re

from vestnik.mail.texts import MAX_LINE

OURS = frozenset(
    {
        *("auto-submitted", "bcc", "cc", "content-transfer-encoding", "content-type", "date", "dkim-signature"),
        *("feedback-id", "from", "list-id", "list-unsubscribe", "list-unsubscribe-post", "message-id", "mime-version"),
        *("precedence", "received", "reply-to", "return-path", "sender", "subject", "to"),
    }
)
"""What letters have anyway, or what would say something else of who writes to whom."""
MOST = 20
LETTER = "{letter}"
"""In a value: the letter's Message-ID, by which a service can say of which letter it tells."""
LONGEST_ID = "x" * 290

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,900}[\x21-\x7e])?")


def lines(headers: object) -> str:
    """Return the headers, given by name, as lines with their ends.

    Raises ValueError with a sentence about what cannot stand in a letter, or would take the place of its own lines.
    """
    if not isinstance(headers, dict) or len(headers) > MOST:
        raise ValueError(f'an object of at most {MOST} names and values is wanted, as in {{"X-Stream": "news"}}.')
    written = []
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header.")
        if name.lower() in OURS:
            raise ValueError(f"{name} is a line that letters have already.")
        filled = value.replace(LETTER, LONGEST_ID) if isinstance(value, str) else ""
        if not _VALUE.fullmatch(filled) or len(name) + len(filled) + 2 > MAX_LINE:
            raise ValueError(f"the value of {name} has to be one line of printable ASCII, and not too long.")
        written.append(f"{name}: {value}\r\n")
    return "".join(written)

"""What a client's letter says: templates with placeholders, and the bytes made of them."""

from vestnik.mail.texts import MAX_LINE
from vestnik.mailings.rendering.braces import without as without_braces
from vestnik.mailings.rendering.checking import (
    MOST_PLACEHOLDERS,
    TooManyPlaceholders,
    check,
    doubts,
    placeholders,
    without_default,
)
from vestnik.mailings.rendering.faults import Fault, TemplateError, UnknownPlaceholder, nearest_of, sentences
from vestnik.mailings.rendering.message import CompiledMessage, Content, LetterTooLarge, Preview

__all__ = [
    "MAX_LINE",
    "MOST_PLACEHOLDERS",
    "CompiledMessage",
    "Content",
    "Fault",
    "LetterTooLarge",
    "Preview",
    "TemplateError",
    "TooManyPlaceholders",
    "UnknownPlaceholder",
    "check",
    "doubts",
    "nearest_of",
    "placeholders",
    "sentences",
    "without_braces",
    "without_default",
]

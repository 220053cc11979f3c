"""What a service's answer means for a letter (docs/http_api.md). No network here."""

import json
import re
import time
import zlib
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import fastjsonschema

from dispatcher.providers import refusals
from dispatcher.providers.base import About, Outcome
from dispatcher.providers.task_connection import Verdict

ANSWER_SIZE = 64 * 1024
"""Bytes of an answer that are read at most, before and after decoding."""
LONGEST_WAIT = 86_400.0
"""Seconds that a longer Retry-After is cut to."""

TEMPORARY = frozenset({408, 425, 429})
"""4xx that mean "later" (RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4); so does every 5xx."""
TOO_MANY = 429
TOKEN_REFUSED = frozenset({401, 403, 407})
FORBIDDEN = 403
"""Forbids the token, or letters to others than the account's own address (a trial, a domain that is not verified)."""
WAITING = frozenset({429, 503})
"""Statuses with which Retry-After is obeyed."""

_fitting = fastjsonschema.compile(json.loads(Path(__file__).with_name("answer.schema.json").read_text()))


class Unreadable(ValueError):
    """The body cannot be read; `str(error)` says why, as the end of "… was answered, but"."""


def judged(status: int, reason: str, headers: Mapping[str, str], body: bytes, trouble: str = "") -> Verdict:
    """Judge a letter by the service's answer. `trouble` says why the body is not whole, if it is not.

    The verdict's text is neither cut nor made visible: secrets have to be hidden in it first.
    """
    try:
        if trouble:
            raise Unreadable(trouble)
        text = decoded(body, headers)
        if 200 <= status < 300:
            return Verdict(Outcome.ACCEPTED, status, _words_of_acceptance(_accepted(text)))
    except Unreadable as error:
        if not 300 <= status < 600:
            return Verdict(Outcome.UNKNOWN, None, f"{status} was answered, but {error}")
        text = "" if headers.get("Content-Encoding") else body.decode("utf-8", "backslashreplace")
    said = _words_of_refusal(text) or reason or "no words"
    of_us = status in TOKEN_REFUSED and not (status == FORBIDDEN and refusals.is_of_one_recipient(said))
    if of_us or 300 <= status < 400:
        place = headers.get("Location", "")
        return Verdict(Outcome.RETURNED, status, f"{said}: {place}" if place and status < 400 else said)
    if 400 <= status < 500 and status not in TEMPORARY:
        return Verdict(Outcome.PERMANENT, status, said, about=refusals.about(refusals.HTTP, status, said))
    if 400 <= status < 600:
        wait = retry_after(headers) if status in WAITING else None
        about = About.PACE if status == TOO_MANY else About.UNCLEAR
        return Verdict(Outcome.TEMPORARY, status, said, wait, about)
    return Verdict(Outcome.UNKNOWN, None, f"{status} was answered, which is no final status")


def decoded(body: bytes, headers: Mapping[str, str]) -> str:
    """Return the text of a body, which is UTF-8 whatever its Content-Type says (RFC 8259, 8.1); raises Unreadable."""
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate"):
        body = _unpacked(body)
    elif encoding not in ("", "identity"):
        raise Unreadable("in an encoding that was not asked for")
    if len(body) > ANSWER_SIZE:
        raise Unreadable(f"with more than {ANSWER_SIZE // 1024} kB")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("not in UTF-8") from None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return seconds to wait by Retry-After (RFC 9110, 10.2.3), at most a day; None if it is nonsense or in the past.

    A date is compared with the service's own, so that clocks need not agree.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:20]), LONGEST_WAIT)
    until = _moment(value)
    if until is None:
        return None
    now = _moment(headers.get("Date", ""))
    seconds = until - (time.time() if now is None else now)
    return min(seconds, LONGEST_WAIT) if seconds >= 0 else None


def _moment(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def _unpacked(body: bytes) -> bytes:
    """Unpack gzip or deflate, to no more than is read of an answer, and a byte."""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body, ANSWER_SIZE + 1)
    except zlib.error:
        raise Unreadable("not compressed as it says") from None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise Unreadable(f"not with JSON: {_on_one_line(text) or 'nothing'}") from None
    except RecursionError:
        raise Unreadable("with JSON nested too deeply") from None


def _accepted(text: str) -> dict[str, Any]:
    answer = _parsed(text)
    try:
        _fitting(answer)
    except fastjsonschema.JsonSchemaValueException as error:
        raise Unreadable(f"not as the schema demands ({error.message}): {_on_one_line(text)}") from None
    assert isinstance(answer, dict)
    return answer


def _words_of_acceptance(answer: dict[str, Any]) -> str:
    name = f"id {answer['id']}" if answer.get("id") else ""
    return " / ".join(filter(None, (answer.get("message"), name))) or "accepted"


def _words_of_refusal(text: str) -> str:
    """Return `{"error": {"message": …}}`, `{"error": …}` or `{"message": …}`; of anything else all."""
    try:
        answer = _parsed(text)
    except Unreadable:
        return _on_one_line(text)
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    return said if isinstance(said, str) else _on_one_line(text)


def _on_one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()

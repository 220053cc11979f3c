"""What a service's answer means for a letter: by the codes of its dialect, or by its status (docs/http_api.md).

No network here.
"""

import json
import time
import zlib
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from dispatcher.providers import refusals
from dispatcher.providers.base import About, Outcome
from dispatcher.providers.errors import LoginRefused, Misconfigured, ProviderError
from dispatcher.providers.http.dialects import OWN, Answer, Dialect, Meaning, Unreadable
from dispatcher.providers.http.dialects.base import on_one_line
from dispatcher.providers.task_connection import Verdict

ANSWER_SIZE = 64 * 1024
"""Bytes of an answer that are read at most, before and after decoding."""
LONGEST_WAIT = 86_400.0
"""Seconds that a longer Retry-After is cut to."""

TEMPORARY = frozenset({408, 425, 429})
"""4xx that mean "later" (RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4); so does every 5xx, but see `_perhaps_taken`."""
TOO_MANY = 429
TOKEN_REFUSED = frozenset({401, 403, 407})
FORBIDDEN = 403
"""Forbids the token, or letters to others than the account's own address (a trial, a domain that is not verified)."""
WAITING = frozenset({429, 503})
"""Statuses with which Retry-After is obeyed."""
ON_THE_WAY = frozenset({408, 502, 504})
"""Of a gateway, as often as not: what the service behind it did with the letter, it does not know."""
UNAVAILABLE = 503


def judged(
    status: int, reason: str, headers: Mapping[str, str], body: bytes, trouble: str = "", dialect: Dialect = OWN
) -> Verdict:
    """Judge a letter by the service's answer. `trouble` says why the body is not whole, if it is not.

    The verdict's text is neither cut nor made visible: secrets have to be hidden in it first. Beside RETURNED its
    refusal is what the service does ("refuses the token"), as the end of a sentence that names it.
    """
    if not 200 <= status < 600:
        return Verdict(Outcome.UNKNOWN, None, f"{status} was answered, which is no final status")
    answer = _read(status, headers, body, trouble)
    try:
        meaning = dialect.meaning(answer)
    except Unreadable as error:
        return Verdict(Outcome.UNKNOWN, None, f"{status} was answered, but {error}")
    said = dialect.words(answer) or reason or "no words"
    return _by_status(dialect, answer, said) if meaning is None else _by_meaning(dialect, meaning, answer, said)


def _by_meaning(dialect: Dialect, meaning: Meaning, answer: Answer, said: str) -> Verdict:
    match meaning:
        case Meaning.TAKEN:
            return Verdict(Outcome.ACCEPTED, answer.status, _words_of_acceptance(dialect, answer))
        case Meaning.RECIPIENT:
            return Verdict(Outcome.PERMANENT, answer.status, said, about=About.LETTER)
        case Meaning.LATER:
            return Verdict(Outcome.TEMPORARY, answer.status, said, about=About.LETTER)
        case Meaning.SENDER:
            return Verdict(Outcome.PERMANENT, answer.status, said, about=About.US)
        case Meaning.TOKEN:
            return _returned(answer, said, LoginRefused("refuses the token"))
        case Meaning.ACCOUNT:
            return _returned(answer, said, Misconfigured("takes no letters of this account"))
        case Meaning.UNCLEAR:
            return _refused(answer, said)


def _by_status(dialect: Dialect, answer: Answer, said: str) -> Verdict:
    status = answer.status
    if status < 300:
        return Verdict(Outcome.UNKNOWN, None, f"{status} was answered, by which no letter is taken: {said}")
    if status < 400:
        place = answer.headers.get("Location", "")
        elsewhere = Misconfigured("says that letters go to another address")
        return _returned(answer, f"{said}: {place}" if place else said, elsewhere)
    if status in TOKEN_REFUSED and not (status == FORBIDDEN and refusals.is_of_one_recipient(said)):
        return _returned(answer, said, LoginRefused("refuses the token"))
    if status < 500 and status not in TEMPORARY:
        return _refused(answer, said)
    if not dialect.idempotent and _perhaps_taken(dialect, answer):
        return Verdict(
            Outcome.UNKNOWN, None, f"{status} was answered, after which the letter may have been taken: {said}"
        )
    wait = None
    if status in WAITING:
        wait = retry_after({"Retry-After": dialect.wait(answer), "Date": answer.headers.get("Date", "")})
    return Verdict(Outcome.TEMPORARY, status, said, wait, About.PACE if status == TOO_MANY else About.UNCLEAR)


def _perhaps_taken(dialect: Dialect, answer: Answer) -> bool:
    """Say whether a failure leaves open what became of the letter."""
    failed = answer.status >= 500 and answer.status != UNAVAILABLE
    return answer.status in ON_THE_WAY or (failed and not dialect.explains(answer))


def _refused(answer: Answer, said: str) -> Verdict:
    about = refusals.about(refusals.HTTP, answer.status, said)
    return Verdict(Outcome.PERMANENT, answer.status, said, about=about)


def _returned(answer: Answer, said: str, refusal: ProviderError) -> Verdict:
    return Verdict(Outcome.RETURNED, answer.status, said, refusal=refusal)


def _words_of_acceptance(dialect: Dialect, answer: Answer) -> str:
    message, name = answer.fields.get("message"), dialect.name(answer)
    told = [message if isinstance(message, str) else "", f"id {name}" if name else ""]
    return " / ".join(filter(None, told)) or "accepted"


def _read(status: int, headers: Mapping[str, str], body: bytes, trouble: str) -> Answer:
    try:
        if trouble:
            raise Unreadable(trouble)
        text = decoded(body, headers)
    except Unreadable as error:
        text = "" if headers.get("Content-Encoding") else body.decode("utf-8", "backslashreplace")
        return Answer(status, headers, text, trouble=str(error))
    try:
        return Answer(status, headers, text, json.loads(text))
    except ValueError:
        return Answer(status, headers, text, trouble=f"not with JSON: {on_one_line(text) or 'nothing'}")
    except RecursionError:
        return Answer(status, headers, text, trouble="with JSON nested too deeply")


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

"""One connection that hands letters over, one after another: MAIL, RCPT, DATA, content (RFC 5321, 3.3).

Where PIPELINING is offered the three commands go in one write (RFC 2920, 3.1). What a broken connection means for the
letter depends on whether any of its content was written: before that it was certainly not accepted.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from dispatcher.providers import refusals
from dispatcher.providers.base import About, Letter, Outcome, visible
from dispatcher.providers.errors import LoginRefused
from dispatcher.providers.pool import PARTING, STEPS, HandOver, Pool
from dispatcher.providers.smtp.dial import LOGIN_NEEDED
from dispatcher.providers.smtp.replies import BadReply, Reply, ReplyReader
from dispatcher.providers.smtp.wire import DATA, DOT, QUIT, RSET, Offers, framed, mail_command, rcpt_command

CLOSING = 421
TOO_LARGE = 552
NOT_IN_ASCII = 553
NO_UTF8 = "The mail service does not take addresses with letters outside ASCII (SMTPUTF8)."

MOST_REFUSALS = 4
"""Letters refused in a row after which a session is left: servers count what they refuse (RCPT, and DATA after it), and
answer more and more slowly, or hang up. In the next session they count from zero."""

KEPT_AFTER = 1.0
"""Seconds unused after which even a new connection may have been closed at the other end without our knowing."""

Step = tuple[str, Callable[[Reply], None]]


class Session(asyncio.Protocol):
    """Takes over the transport of a dialled connection. Not thread-safe: lives in the loop's thread."""

    def __init__(self, transport: asyncio.Transport, offers: Offers, timeout: float, pool: Pool) -> None:
        self._transport = transport
        self._offers = offers
        self._timeout = timeout
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._awaited: deque[Step] = deque()
        self._mail: Step = ("MAIL", self._mail_answered)
        self._rcpt: Step = ("RCPT", self._rcpt_answered)
        self._data: Step = ("DATA", self._data_answered)
        self._content: Step = ("the content", self._content_answered)
        self._work: HandOver | None = None
        self._kept = self._leaves = False
        self._refusals = 0
        self._heard = self._content_begun = self._recipient_stands = False
        self._step_ends = self._letter_ends = 0.0
        self._unwritten = 0
        self._timer: asyncio.TimerHandle | None = None
        self.gone = False
        self.fresh = True
        self.idle_since = time.monotonic()
        transport.set_protocol(self)

    @property
    def busy(self) -> bool:
        return bool(self._awaited)

    def begin(self, work: HandOver) -> None:
        """Hand the letter over as `Connection.begin` says."""
        if self.gone:
            self._pool.again(work, "the connection broke before the letter")
            return
        letter, offers = work.letter, self._offers
        now = time.monotonic()
        work.began = work.began or now
        if offers.size_limit is not None and len(letter.content) > offers.size_limit:
            answer = f"not sent: the letter has {len(letter.content)} bytes, the service takes {offers.size_limit}"
            self._not_sent(work, TOO_LARGE, answer)
            return
        if letter.needs_utf8 and not offers.utf8:
            self._not_sent(work, NOT_IN_ASCII, NO_UTF8)
            return
        self._work = work
        self._kept = not self.fresh or now - self.idle_since > KEPT_AFTER
        self.fresh = False
        self._heard = self._content_begun = self._recipient_stands = False
        self._letter_ends = now + STEPS * self._timeout
        if offers.pipelining:
            self._write(mail_command(letter, offers) + rcpt_command(letter) + DATA, self._mail, self._rcpt, self._data)
        else:
            self._write(mail_command(letter, offers), self._mail)

    def _not_sent(self, work: HandOver, code: int, answer: str) -> None:
        """Refuse a letter for the service, which has said beforehand that it does not take such letters."""
        self._pool.answered(work.lane, work.receipt(Outcome.PERMANENT, code, answer, about=About.LETTER))
        self._pool.ready(self)

    def quit(self, timeout: float) -> None:
        """Disconnect politely (RFC 5321, 4.1.1.10); `lost` follows within that many seconds."""
        self._timeout = timeout
        self._letter_ends = time.monotonic() + timeout
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write(QUIT, ("QUIT", lambda _: self.end("parted")))

    def end(self, why: str, *, otherwise: Outcome = Outcome.TEMPORARY, closed_by_service: bool = False) -> None:
        """Drop the connection as `Connection.end` says. A letter that the service has not heard of gets another try."""
        if self.gone:
            return
        self.gone = True
        self._awaited.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()
        self._pool.lost(self)
        work, self._work = self._work, None
        if work is None:
            return
        if closed_by_service and self._kept and not self._heard:
            self._pool.again(work, why)
        else:
            outcome = Outcome.UNKNOWN if self._content_begun else otherwise
            self._pool.answered(work.lane, work.receipt(outcome, None, why))

    # Events of the transport

    def data_received(self, data: bytes) -> None:
        """Give each reply to the command that awaits it; close the connection where none does."""
        try:
            replies = self._reader.feed(data)
        except BadReply as error:
            self.end(str(error))
            return
        for reply in replies:
            if self.gone:
                return
            if not self._awaited:
                self.end(f"the service spoke unasked: {reply.code} {reply.text}")
                return
            self._step_ends = min(time.monotonic() + self._timeout, self._letter_ends)
            self._awaited.popleft()[1](reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection, which the service or the network has closed."""
        self.end(self._told(f"the connection broke{f' ({exc})' if exc else ''}"), closed_by_service=True)

    # Steps of a letter

    def _mail_answered(self, reply: Reply) -> None:
        if reply.code == CLOSING and self._kept:
            self.end("the service is closing the connection", closed_by_service=True)
        elif self._passed(reply, "MAIL"):
            self._write(rcpt_command(self._letter), self._rcpt)

    def _rcpt_answered(self, reply: Reply) -> None:
        if self._work is None:
            self._recipient_stands = reply.positive
        elif self._passed(reply, "RCPT"):
            self._write(DATA, self._data)

    def _data_answered(self, reply: Reply) -> None:
        if reply.positive:
            self.end(f"DATA was answered with {reply.code} {reply.text}")
        elif reply.code >= 400:
            if self._work is not None:
                self._refuse(reply, "DATA")
            self._reset()
        elif self._work is not None:
            self._content_begun = True
            self._write(framed(self._letter.content), self._content)
            self._unwritten = self._transport.get_write_buffer_size()
        elif self._recipient_stands:
            self.end("an empty letter must not reach the recipient")
        else:
            self._write(DOT, ("the empty letter", lambda _: self._reset()))

    def _content_answered(self, reply: Reply) -> None:
        if 300 <= reply.code < 400:
            self.end(f"the content was answered with {reply.code} {reply.text}")
            return
        if reply.positive:
            self._settle(Outcome.ACCEPTED, reply)
        else:
            self._refuse(reply, "the content")
        self._be_ready()

    def _passed(self, reply: Reply, step: str) -> bool:
        """Say whether the next command is to be written; settle the letter if the answer was no."""
        self._heard = True
        if reply.positive:
            return not self._offers.pipelining
        if reply.code < 400:
            self.end(f"{step} was answered with {reply.code} {reply.text}")
            return False
        self._refuse(reply, step)
        if not self._awaited:
            self._reset()
        return False

    def _refuse(self, reply: Reply, step: str) -> None:
        """End the letter by a 4yz or 5yz reply, unless that wants another login of us."""
        assert self._work is not None
        lane = self._work.lane
        if reply.code in LOGIN_NEEDED:
            message = visible(f"the service wants another login: {reply.code} {reply.text}")
            self._pool.refused(lane, LoginRefused(message))
            self._settle(Outcome.RETURNED, reply)
            self.end("the service wants another login")
            return
        about = refusals.about(step, reply.code, reply.text, self._letter)
        self._settle(Outcome.PERMANENT if reply.code >= 500 else Outcome.TEMPORARY, reply, about)
        if reply.code == CLOSING:
            self.end("the service is closing the connection")
        elif reply.code < 500 and refusals.enhanced_code(reply.text, "4") == refusals.RECONNECT:
            self._leaves = True

    def _settle(self, outcome: Outcome, reply: Reply, about: About = About.UNCLEAR) -> None:
        work, self._work = self._work, None
        assert work is not None
        self._refusals = 0 if outcome is Outcome.ACCEPTED else self._refusals + 1
        self._leaves = self._leaves or self._refusals >= MOST_REFUSALS
        self._pool.answered(work.lane, work.receipt(outcome, reply.code, reply.text, about=about))

    def _reset(self) -> None:
        """Make sure that nothing of the refused letter is left (RFC 5321, 4.1.1.5)."""
        self._write(RSET, ("RSET", lambda reply: self._be_ready() if reply.positive else self.end("RSET was refused")))

    def _be_ready(self) -> None:
        if self.gone or self._awaited:
            return
        if self._leaves:
            self.quit(PARTING)
            return
        self.idle_since = time.monotonic()
        self._pool.ready(self)

    # Underneath

    @property
    def _letter(self) -> Letter:
        assert self._work is not None
        return self._work.letter

    def _write(self, data: bytes, *awaited: Step) -> None:
        if self.gone:
            return
        self._awaited.extend(awaited)
        self._step_ends = min(time.monotonic() + self._timeout, self._letter_ends)
        self._transport.write(data)
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._check_time)

    def _check_time(self) -> None:
        """Look at the deadline, and again when it has moved on: one timer a session, not one a letter."""
        self._timer = None
        if not self._awaited:
            return
        now, unwritten = time.monotonic(), self._transport.get_write_buffer_size()
        if unwritten < self._unwritten:
            self._step_ends = min(now + self._timeout, self._letter_ends)
        self._unwritten = unwritten
        if now >= self._step_ends:
            self.end(self._told(f"no answer in {self._timeout:g} s"))
        else:
            self._timer = self._loop.call_later(self._step_ends - now, self._check_time)

    def _told(self, what: str) -> str:
        return f"{what}, waiting for the answer to {self._awaited[0][0]}" if self._awaited else what

"""Slots for connections: how many all processes together have to the service, and may have.

vestnik:slots:SERVICE   worker → "held until wanted live wanting since": how many slots it has, until when it is
                        believed to live, and to want more; how many of its connections are open; since when it wants
                        more and has none (0: it does not), and since when it has any (µs by Redis's clock)
                        room: "most until for": how many connections the service took when it refused one more, until
                        when that is believed, and for how long it was
                        opens: from when on slots are given. A process that finds nothing here does not know what
                        others hold, for Redis may have forgotten it; they all say so within a second.

Where nobody said how many there may be (`total`), everybody takes what they like, until the service refuses one: then
it is known, and remembered for a while (decision 0030): a moment at first, for it may just have broken off; longer
each time that is found again.
"""

import logging
import math
import secrets
import threading
import time

import redis
from django.conf import settings

from dispatcher.pace.scripts import Scripts
from dispatcher.providers import url

logger = logging.getLogger(__name__)

WANTED_SECONDS = 2.0
"""How long after a slot was refused a process is believed to want one."""

GRACE_SECONDS = 1.5
"""The time between two heartbeats, and a little more."""

AWAY_SECONDS = 1.0
"""How long Redis is not asked again after it did not answer: whoever waits for it makes others wait."""

TURN_SECONDS = 5.0
"""How long a process may keep its last connection while another has none and wants one."""

ROOM_SECONDS = 300.0
"""How long at most it is remembered how many connections the service takes; then one more is tried."""

FIRST_ROOM_SECONDS = 5.0
"""How long at first; twice as long each time one more is refused again before as much time has passed again."""

# A worker says how many it holds, and may take one more: if there is one, and it has less than its even share or nobody
# wants what is his; who has none comes before who has some, and who has waited longer for their first before others.
# How many it should give up: where there is no room, what it has beyond its share of what others want; and where there
# are more who want one than there are connections, its last after a turn. {taken, to give up, whether there is a limit}
EXCHANGE = """
    local total, live, sharing, rivals, mine = spec.held, 0, 1, {}, {wanted = 0, wanting = 0, since = 0}
    local entries = redis.call('HGETALL', KEYS[1])
    local room, opens, remembered, until_then = spec.limit or math.huge, nil, 0, 0
    for i = 1, #entries, 2 do
        local name, value = entries[i], entries[i + 1]
        local most, known_until, known_for = string.match(value, '^(%d+) (%d+) (%d+)$')
        local held, lease_end, wanted, open, wanting, since =
            string.match(value, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
        if name == 'opens' then
            opens = tonumber(value)
        elseif name == 'room' and most then
            remembered, until_then = tonumber(known_for), tonumber(known_until)
            if until_then > now then room = math.min(room, tonumber(most)) end
        elseif held and name == spec.worker then
            mine = {wanted = tonumber(wanted), wanting = tonumber(wanting), since = tonumber(since)}
        elseif held and tonumber(lease_end) <= now then
            redis.call('HDEL', KEYS[1], name)
        elseif held then
            total, live = total + held, live + open
            local wants = tonumber(wanted) > now
            if wants then table.insert(rivals, {held = tonumber(held), wanting = tonumber(wanting)}) end
            if tonumber(held) > 0 or wants then sharing = sharing + 1 end
        end
    end
    if spec.limit and not opens then
        opens = now + spec.grace
        redis.call('HSET', KEYS[1], 'opens', string.format('%.0f', opens))
    end
    if spec.crowded then
        local others = live + math.min(spec.live, spec.held - 1)
        if others > 0 then
            local again = remembered > 0 and now < until_then + remembered
            local known_for = math.min(again and 2 * remembered or spec.at_first, spec.remembered)
            if until_then > now then known_for = math.max(remembered, spec.at_first) end
            redis.call('HSET', KEYS[1], 'room', string.format('%d %.0f %.0f', others, now + known_for, known_for))
        end
        return {others > 0 and 1 or 0, 0, 1}
    end
    if mine.wanted <= now then mine.wanting = 0 end
    if spec.take and spec.held == 0 and mine.wanting == 0 then mine.wanting = now end
    local limited, taken, excess = room < math.huge, 0, 0
    local share = limited and math.ceil(room / sharing) or math.huge
    local contested, starving, hunger = false, 0, 0
    for _, rival in ipairs(rivals) do
        contested = contested or rival.held < share
        hunger = hunger + math.max(0, math.min(share, room) - rival.held)
        if rival.held == 0 and (spec.held > 0 or rival.wanting < mine.wanting) then starving = starving + 1 end
    end
    if spec.take then
        local fair = not contested or spec.held < share and room - total > starving
        if (not opens or now >= opens) and total < room and fair then taken = 1 end
        mine.wanted = taken == 1 and 0 or now + spec.wanted
    elseif limited and total >= room and hunger > 0 then
        if spec.held > share then
            excess = math.min(spec.held - share, hunger)
        elseif starving > 0 and spec.held > 0 and now - mine.since > spec.turn then
            excess = 1
        end
    end
    if spec.leave then
        redis.call('HDEL', KEYS[1], spec.worker)
    else
        local held = spec.held + taken
        if held > 0 then mine.wanting = 0 end
        if held == 0 then mine.since = 0 elseif mine.since == 0 then mine.since = now end
        local entry = string.format('%d %.0f %.0f %d %.0f %.0f',
            held, now + spec.lease, mine.wanted, spec.live, mine.wanting, mine.since)
        redis.call('HSET', KEYS[1], spec.worker, entry)
    end
    return {taken, excess, limited and 1 or 0}
"""


class RedisSlots:
    """This process's slots. Safe from any thread; a call may wait for Redis, a third of a second at most."""

    def __init__(
        self,
        key: str,
        limit: int | None,
        lease: float = 10.0,
        grace: float = GRACE_SECONDS,
        redis_url: str | None = None,
    ) -> None:
        """Allow at most `limit` for all processes with this key; None is as many as they like, and as the service
        takes.

        A process that did not renew for `lease` seconds has none any more. `grace`: seconds for which nobody gets one
        after Redis forgot.
        """
        self._key, self._limit = key, limit
        self._worker = secrets.token_hex(8)
        self._common = {
            "worker": self._worker,
            **({} if limit is None else {"limit": limit}),
            "lease": int(lease * 1e6),
            "grace": int(grace * 1e6),
            "wanted": int(WANTED_SECONDS * 1e6),
            "turn": int(TURN_SECONDS * 1e6),
            "remembered": int(ROOM_SECONDS * 1e6),
            "at_first": int(min(FIRST_ROOM_SECONDS, ROOM_SECONDS) * 1e6),
        }
        self._scripts = Scripts(redis_url, key, {"exchange": EXCHANGE})
        self._lock = threading.Lock()
        self._held = self._live = 0
        self._asked = False
        self._limited = limit is not None
        self._away_until = -math.inf

    @property
    def limited(self) -> bool:
        """Whether there may only be so many: others may be waiting for theirs."""
        return self._limited

    def take(self) -> bool:
        """Take a slot; return whether there was one. While Redis is away there is none if a limit was set."""
        with self._lock:
            taken = self._publish(take=True)[0]
            self._held += taken
            return bool(taken)

    def opened(self) -> None:
        """Note that the connection is open for which a slot was taken."""
        with self._lock:
            self._live = min(self._live + 1, self._held)
            self._publish()

    def crowded(self) -> bool:
        """Note that the service refused a connection for which a slot was taken; return whether any process has one
        open.

        Then the service has no room for more, and nobody tries for a while.
        """
        with self._lock:
            return bool(self._publish(crowded=True)[0])

    def release(self) -> None:
        """Give one slot back. Redis hears of it now, or with the next `renew`."""
        with self._lock:
            self._held = max(0, self._held - 1)
            self._live = min(self._live, self._held)
            self._publish()

    def renew(self) -> int:
        """Keep what is held, even if Redis has forgotten it; call it once a second. Never raises.

        Return how many slots to give up, since others have less than their share.
        """
        with self._lock:
            if not self._asked:
                return 0
            self._away_until = -math.inf
            return self._publish()[1]

    def close(self) -> None:
        """Free all slots; call it when the connections are gone. Never raises."""
        with self._lock:
            if self._asked:
                self._held = self._live = 0
                self._publish(leave=True)
            self._scripts.close()

    def _publish(self, take: bool = False, leave: bool = False, crowded: bool = False) -> tuple[int, int]:
        """Publish what is held; return whether one more was taken (or the service is crowded), and how many to give
        up.
        """
        without = int((take and self._limit is None) or (crowded and min(self._live, self._held - 1) > 0))
        if time.monotonic() < self._away_until:
            return without, 0
        self._asked = not leave
        said = {"held": self._held, "live": self._live, "take": take, "leave": leave, "crowded": crowded}
        try:
            answer, excess, limited = self._scripts.run("exchange", [self._key], {**self._common, **said})
        except redis.RedisError as error:
            if self._limit is not None:
                logger.warning("no connections are opened until Redis answers: %s", error)
            self._away_until = time.monotonic() + AWAY_SECONDS
            return without, 0
        self._limited = bool(limited)
        return answer, excess


def for_service() -> RedisSlots:
    """Return the slots for connections to the configured service (`total` in MAIL_SERVICE_URL)."""
    config = url.parse(settings.MAIL_SERVICE_URL)
    return RedisSlots(f"vestnik:slots:{config.name}", config.total)

"""Slots for connections: how many all processes together may have to the service.

vestnik:slots:SERVICE   worker → "held until wanted": how many slots it has, until when it is believed to live, and
                        until when it is believed to want more (µs by Redis's clock)
                        opens: from when on slots are given. A process that finds nothing here does not know what
                        others hold, for Redis may have forgotten it; they all say so within a second.
"""

import logging
import math
import secrets
import threading
import time

import redis
from django.conf import settings

from dispatcher.providers import url
from dispatcher.scripts import Scripts

logger = logging.getLogger(__name__)

WANTED_SECONDS = 2.0
"""For so long after it was refused a slot a process is believed to want one."""

GRACE_SECONDS = 1.5
"""Between two heartbeats, and a little more."""

AWAY_SECONDS = 1.0
"""For so long Redis is not asked again after it did not answer: whoever waits for it keeps others waiting."""

# A worker says how many it holds, and may take one more: if there is one, and it has less than its even share or nobody
# wants what is his. {taken}
EXCHANGE = """
    local opens = tonumber(redis.call('HGET', KEYS[1], 'opens'))
    if not opens then
        opens = now + spec.grace
        redis.call('HSET', KEYS[1], 'opens', string.format('%.0f', opens))
    end
    local total, sharing, rivals, wanted = spec.held, 1, {}, 0
    local entries = redis.call('HGETALL', KEYS[1])
    for i = 1, #entries, 2 do
        local held, lease_end, wants = string.match(entries[i + 1], '^(%d+) (%d+) (%d+)$')
        if entries[i] == spec.worker then
            wanted = tonumber(wants)
        elseif held and tonumber(lease_end) <= now then
            redis.call('HDEL', KEYS[1], entries[i])
        elseif held then
            total = total + held
            if tonumber(wants) > now then table.insert(rivals, tonumber(held)) end
            if tonumber(held) > 0 or tonumber(wants) > now then sharing = sharing + 1 end
        end
    end
    local share, contested, taken = math.ceil(spec.limit / sharing), false, 0
    for _, held in ipairs(rivals) do contested = contested or held < share end
    if spec.take then
        if now >= opens and total < spec.limit and (spec.held < share or not contested) then taken = 1 end
        wanted = taken == 1 and 0 or now + spec.wanted
    end
    if spec.leave then
        redis.call('HDEL', KEYS[1], spec.worker)
    else
        local entry = string.format('%d %.0f %.0f', spec.held + taken, now + spec.lease, wanted)
        redis.call('HSET', KEYS[1], spec.worker, entry)
    end
    return taken
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
        """At most `limit` for all processes with this key; None is as many as they like, and Redis is not asked.

        A process that did not renew for `lease` seconds has none any more. `grace`: seconds for which nobody gets one
        after Redis forgot.
        """
        self._key, self._limit = key, limit
        self._worker = secrets.token_hex(8)
        self._common = {
            "worker": self._worker,
            "limit": limit,
            "lease": int(lease * 1e6),
            "grace": int(grace * 1e6),
            "wanted": int(WANTED_SECONDS * 1e6),
        }
        self._scripts = Scripts(redis_url, key, {"exchange": EXCHANGE})
        self._lock = threading.Lock()
        self._held = 0
        self._asked = False
        self._away_until = -math.inf

    def take(self) -> bool:
        """Whether there was one to take; not while Redis is away."""
        if self._limit is None:
            return True
        with self._lock:
            taken = self._tell(take=True)
            self._held += taken
            return bool(taken)

    def release(self) -> None:
        """One less is held. Redis hears of it now, or with the next `renew`."""
        if self._limit is not None:
            with self._lock:
                self._held = max(0, self._held - 1)
                self._tell()

    def renew(self) -> None:
        """Once a second: keep what is held, also where Redis has forgotten it. Never raises."""
        with self._lock:
            if self._asked:
                self._away_until = -math.inf
                self._tell()

    def close(self) -> None:
        """All slots are free. Never raises; to be called when the connections are gone."""
        with self._lock:
            if self._asked:
                self._held = 0
                self._tell(leave=True)
            self._scripts.close()

    def _tell(self, take: bool = False, leave: bool = False) -> int:
        """Say what is held; 1 if one more was taken."""
        if time.monotonic() < self._away_until:
            return 0
        self._asked = not leave
        try:
            taken: int = self._scripts.run(
                "exchange", [self._key], {**self._common, "held": self._held, "take": take, "leave": leave}
            )
        except redis.RedisError as error:
            logger.warning("no connections are opened until Redis answers: %s", error)
            self._away_until = time.monotonic() + AWAY_SECONDS
            return 0
        return taken


def for_service() -> RedisSlots:
    """Slots for connections to the configured service (`total` in MAIL_SERVICE_URL)."""
    config = url.parse(settings.MAIL_SERVICE_URL)
    return RedisSlots(f"vestnik:slots:{config.name}", config.total)

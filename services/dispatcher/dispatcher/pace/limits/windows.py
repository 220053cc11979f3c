"""Counting in Redis how many letters were handed over, exactly.

The rule, for each key (provider, owner:7, domain:example.org) and each of its windows: what was handed over in the
window that ends now, together with the tokens that are outstanding, is at most the limit. A token is outstanding from
the moment it was taken until its letter is handed over, and counts from then on at that moment, or until it is given
back. So however long a token was held, no window holds more than the limit: whoever handed over the last letter in it
took the token for it while all others were either counted or outstanding.

    vestnik:limits:KEY:SECONDS   what was handed over: bucket → count. A bucket is a 200th of the window, and is dropped
                                 when all of it is older than the window: it costs half a percent of the rate.
                                 first, last: no bucket before and none behind is counted; sum: all of them
                                 next: when the next letter that is put off may come (µs; of domains)
    vestnik:limits:KEY:tokens    what is outstanding: worker → "count until". A worker that does not renew its lease is
                                 dead; what it had outstanding counts as handed over when the lease ended.
    vestnik:limits:ready         vouches for all of them: "rules since". Without it nothing is granted, and somebody
                                 has to refill the windows from the ledger (refill.py). The rules are those of the last
                                 process that came with new ones: while it lives, processes with others get nothing.

Times are Redis's own, in microseconds; hand-overs are told as ages, so no host's clock matters. Ages become younger on
the way, never older: that errs on the safe side.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from dispatcher.pace.limits.rules import Window
from dispatcher.pace.scripts import TIME, Scripts

PREFIX = "vestnik:limits:"
READY = f"{PREFIX}ready"
TOKENS = ":tokens"

LEASE_SECONDS = 10.0
"""How long after its last report a worker's tokens stay outstanding."""

MARGIN_SECONDS = 0.05
"""By how much every window is longer than its name says. So letters reach the service within its limits, if the times
that they take to get there differ by no more."""

READY_SECONDS = 15.0
"""How long after the last report of any worker with these rules Redis is believed to know everything."""

FOREIGN_SECONDS = 1.0
"""When a worker with other rules than the newest asks again."""

_LUA = """
    local function open(name, seconds)
        local length = seconds * 1000000 + spec.margin
        local window = {key = name .. ':' .. seconds, length = length, width = seconds * 5000}
        local state = redis.call('HMGET', window.key, 'first', 'last', 'sum')
        window.first, window.last = tonumber(state[1]) or 0, tonumber(state[2]) or -1
        window.sum = tonumber(state[3]) or 0
        local oldest, current = math.floor((now - window.length) / window.width), math.floor(now / window.width)
        if window.last > current then  -- the clock was set back: all of it counts as handed over now
            redis.call('DEL', window.key)
            redis.call('HSET', window.key, current, window.sum)
            window.first, window.last = current, current
        end
        for bucket = window.first, math.min(oldest - 1, window.last) do
            local count = redis.call('HGET', window.key, bucket)
            if count then
                window.sum = window.sum - count
                redis.call('HDEL', window.key, bucket)
            end
        end
        window.first = math.max(window.first, oldest)
        return window
    end

    local function record(window, at, count)
        if count == 0 or at <= now - window.length then return end
        local bucket = math.max(math.floor(at / window.width), window.first)
        redis.call('HINCRBY', window.key, bucket, count)
        window.last = math.max(window.last, bucket)
        window.sum = window.sum + count
    end

    local function save(window)
        redis.call('HSET', window.key, 'first', window.first, 'last', window.last, 'sum', window.sum)
        redis.call('PEXPIRE', window.key, window.width / 1000 * 220 + 60000)
    end

    -- When so many of what it counts will be too old; nil if it does not count as many.
    local function freed_at(window, count)
        for bucket = window.first, window.last do
            count = count - (redis.call('HGET', window.key, bucket) or 0)
            if count <= 0 then return (bucket + 1) * window.width + window.length end
        end
    end

    -- 'ready', 'missing' or 'foreign', and how long it is still to wait.
    local function readiness()
        local rules, since = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+)$')
        if not rules then return 'missing', 0 end
        if rules ~= spec.rules then return 'foreign', spec.foreign end
        redis.call('PEXPIRE', KEYS[1], spec.ready)
        since = tonumber(since)
        return 'ready', since - now < 60000000 and math.max(0, since - now) or 0
    end
"""

# A worker says what it handed over and holds, and takes tokens for at most so many letters: of all keys, or of none.
# {state, tokens, µs to wait if there are none, the key that says so}
EXCHANGE = f"""
    {_LUA}
    local state, wait = readiness()
    local granted, longest, scarcest = spec.most, 0, 0
    if state ~= 'ready' or wait > 0 then granted, longest = 0, wait end

    for i, key in ipairs(spec.keys) do
        local outstanding, dead = key.held, {{}}
        local holders = redis.call('HGETALL', KEYS[i + 1] .. '{TOKENS}')
        for j = 1, #holders, 2 do
            local count, lease_end = string.match(holders[j + 1], '(%d+) (%d+)')
            if holders[j] ~= spec.worker then
                if tonumber(lease_end) > now and tonumber(lease_end) < now + 60000000 then
                    outstanding = outstanding + count
                else
                    table.insert(dead, {{math.min(tonumber(lease_end), now), tonumber(count)}})
                    redis.call('HDEL', KEYS[i + 1] .. '{TOKENS}', holders[j])
                end
            end
        end
        for _, limit in ipairs(key.windows) do
            local window = open(KEYS[i + 1], limit[2])
            for _, used in ipairs(key.used) do record(window, now - used[1], used[2]) end
            for _, lost in ipairs(dead) do record(window, lost[1], lost[2]) end
            save(window)
            local free = limit[1] - window.sum - outstanding
            if free < granted then granted, scarcest = math.max(free, 0), i end
            if free <= 0 then
                -- Tokens may come back any moment: whoever waits for them asks repeatedly.
                local often = math.min(math.max(window.width, 10000), 1000000)
                local pause = (freed_at(window, 1 - free) or now + often) - now
                if outstanding > 0 then pause = math.min(pause, 1000000) end
                if pause > longest then longest, scarcest = pause, i end
            end
        end
    end

    for i, key in ipairs(spec.keys) do
        local tokens = KEYS[i + 1] .. '{TOKENS}'
        if key.held + granted > 0 then
            redis.call('HSET', tokens, spec.worker, string.format('%d %.0f', key.held + granted, now + spec.lease))
            redis.call('PEXPIRE', tokens, (spec.lease / 1000) + key.windows[#key.windows][2] * 1100 + 60000)
        else
            redis.call('HDEL', tokens, spec.worker)
        end
    end
    return {{state, granted, math.max(longest, 10000), scarcest}}
"""

# A letter to a domain: {state, 0} if it goes now, and then it is counted; else {state, µs by which to put it off}.
# Letters that are put off queue up: the first is to come when the window's oldest bucket is dropped, each other a step
# behind the one before it, and so they come as fast as the window permits, but for the hundredth that makes up for
# those that come a little early. A window that is not full itself, but in company of one that is, first takes as many
# as it has room for. `next` never lies further back than that room: letters that came, or never come, are forgotten.
ADMIT = f"""
    {_LUA}
    local state, wait = readiness()
    if state ~= 'ready' or wait > 0 then return {{state, math.max(wait, 1)}} end
    local windows, full = {{}}, false
    for i, limit in ipairs(spec.windows) do
        windows[i] = open(KEYS[2], limit[2])
        windows[i].free = limit[1] - windows[i].sum
        windows[i].step = windows[i].length / limit[1] * 1.01
        full = full or windows[i].free <= 0
    end
    local place = now
    for _, window in ipairs(windows) do
        if full then
            local come = tonumber(redis.call('HGET', window.key, 'next')) or 0
            come = math.max(come, now - math.max(window.free, 0) * window.step)
            if come >= now then come = math.max(come, freed_at(window, math.max(1, 1 - window.free)) or now) end
            place = math.max(place, come)
            redis.call('HSET', window.key, 'next', math.floor(come + window.step))
        else
            record(window, now, 1)
        end
        save(window)
    end
    return {{state, full and math.max(1, math.ceil(place - now)) or 0}}
"""

# What the ledger knows, key by key, some thousands at a time.
LOAD = f"""
    {_LUA}
    for i, key in ipairs(spec.keys) do
        for _, seconds in ipairs(key.windows) do
            local window = open(KEYS[i], seconds)
            for _, used in ipairs(key.used) do record(window, now - used[1], used[2]) end
            save(window)
        end
    end
"""

# From `pause` on everything is known.
VOUCH = """
    redis.call('SET', KEYS[1], string.format('%s %.0f', spec.rules, now + spec.pause), 'PX', spec.ready)
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What one worker reports of one key."""

    key: str
    windows: tuple[tuple[int, int], ...]
    """(limit, seconds) of each."""
    held: int
    """Tokens that it holds."""
    used: list[tuple[int, int]]
    """(microseconds ago, how many were handed over)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Redis's answer to a report."""

    state: str
    """`ready`; `missing` if the windows have to be refilled; `foreign` if a process with other rules is at work."""
    granted: int
    wait: float
    """Seconds until there may be tokens, if none was granted."""
    scarce: str
    """The key that granted least, if any granted less than was asked for."""


class Admission(NamedTuple):
    """Redis's answer about one letter to a domain."""

    state: str
    """As that of an Answer."""
    wait: float
    """0.0 if the letter goes now, and was counted; else the seconds by which to put it off."""


class Counter:
    """One worker's access to the windows. Every call raises redis.RedisError if Redis does not answer."""

    def __init__(self, url: str | None, worker: str, rules: str, clock: str = TIME) -> None:
        """Connect a worker. `rules` is a text that is the same for workers that count the same."""
        sources = {"exchange": EXCHANGE, "admit": ADMIT, "load": LOAD, "vouch": VOUCH}
        self._scripts = Scripts(url, READY, sources, clock)
        self._common = {
            "worker": worker,
            "rules": rules,
            "ready": int(READY_SECONDS * 1000),
            "foreign": int(FOREIGN_SECONDS * 1e6),
            "lease": int(LEASE_SECONDS * 1e6),
            "margin": int(MARGIN_SECONDS * 1e6),
        }
        self.client = self._scripts.client

    def exchange(self, reports: list[Report], most: int) -> Answer:
        """Report what was handed over, and take at most so many tokens of each of these keys."""
        keys = [{"windows": it.windows, "held": it.held, "used": it.used} for it in reports]
        names = [PREFIX + it.key for it in reports]
        state, granted, wait, scarce = self._run("exchange", [READY, *names], keys=keys, most=most)
        return Answer(state.decode(), granted, wait / 1e6, reports[scarce - 1].key if scarce else "")

    def admit(self, key: str, windows: tuple[Window, ...]) -> Admission:
        """Count one letter to a domain, if it may go now."""
        state, wait = self._run("admit", [READY, PREFIX + key], windows=windows)
        return Admission(state.decode(), wait / 1e6)

    def load(self, used: dict[str, list[tuple[int, int]]], windows: dict[str, list[int]]) -> None:
        """Count for each key what was used before, in windows of so many seconds."""
        keys = [{"windows": windows[key], "used": found} for key, found in used.items()]
        self._run("load", [PREFIX + key for key in used], keys=keys)

    def vouched_for(self) -> bool:
        """Say whether Redis knows everything, by these rules."""
        value: Any = self.client.get(READY)
        return value is not None and value.decode().split(" ")[0] == self._common["rules"]

    def vouch(self, pause: float) -> None:
        """Declare that Redis knows everything; tokens are granted after `pause` seconds."""
        self._run("vouch", [READY], pause=int(pause * 1e6))

    def clear(self) -> None:
        """Empty all windows; what is outstanding stays so."""
        self.client.delete(READY)
        names = (name for name in self.client.scan_iter(match=f"{PREFIX}*:*", count=1000))
        windows = (name for name in names if not name.endswith(TOKENS.encode()))
        while some := list(islice(windows, 500)):
            self.client.unlink(*some)

    def close(self) -> None:
        """Disconnect from Redis."""
        self._scripts.close()

    def _run(self, script: str, names: list[str], **spec: Any) -> Any:
        return self._scripts.run(script, names, self._common | spec)

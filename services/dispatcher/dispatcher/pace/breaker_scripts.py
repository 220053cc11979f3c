"""What the breaker asks of Redis, and the answers; breaker.py says what the fields of its hash (KEYS 1) mean."""

_NOW = "local time = redis.call('TIME'); local now = time[1] * 1000 + math.floor(time[2] / 1000);"

# May this worker (ARGV 1) send to the service of this name (ARGV 3)? {verdict, milliseconds to wait, failures, what is
# the matter}: 0 no, 1 yes, 2 yes, as a probe. What is known of another service is forgotten.
ASK = f"""
    {_NOW}
    local failures, next_at, till, prober, name, trouble, refused =
        unpack(redis.call('HMGET', KEYS[1], 'failures', 'next', 'until', 'prober', 'service', 'trouble', 'refused'))
    trouble = refused and 'refused' or trouble
    if name and name ~= ARGV[3] then
        redis.call('DEL', KEYS[1])
        failures, next_at = 0, nil
    end
    if not next_at then return {{1, 0, tonumber(failures or 0), ''}} end
    local mine = prober == ARGV[1]
    if not mine and tonumber(till or 0) > now then return {{0, tonumber(till) - now, 0, trouble}} end
    if not mine and tonumber(next_at) > now then return {{0, tonumber(next_at) - now, 0, trouble}} end
    redis.call('HSET', KEYS[1], 'prober', ARGV[1], 'until', now + ARGV[2])
    return {{2, 0, 0, trouble}}
"""

# It went wrong, as often as ARGV 2 says: {is open, milliseconds to wait, is news}. Once open, only the probe counts:
# others hear of letters that were under way before.
FAIL = f"""
    {_NOW}
    local worker, weight, enough, trouble, words, forget, name = unpack(ARGV, 1, 7)
    local next_at, prober, was = unpack(redis.call('HMGET', KEYS[1], 'next', 'prober', 'trouble'))
    if next_at and prober ~= worker then return {{1, math.max(tonumber(next_at) - now, 0), 0}} end
    if not next_at then
        if redis.call('HINCRBY', KEYS[1], 'failures', weight) < tonumber(enough) then
            redis.call('HSET', KEYS[1], 'service', name)
            redis.call('PEXPIRE', KEYS[1], forget)
            return {{0, 0, 0}}
        end
        redis.call('HSET', KEYS[1], 'since', now)
    end
    local times = redis.call('HINCRBY', KEYS[1], 'times', 1)
    local wait = tonumber(ARGV[7 + math.min(times, #ARGV - 7)])
    redis.call('HSET', KEYS[1], 'next', now + wait, 'trouble', trouble, 'words', words, 'service', name)
    if trouble == 'refused' then redis.call('HSET', KEYS[1], 'refused', 1) end
    redis.call('HDEL', KEYS[1], 'prober', 'until', 'failures')
    redis.call('PEXPIRE', KEYS[1], wait + forget)
    return {{1, wait, was == trouble and 0 or 1}}
"""

# The service asks to be left alone until then: {is news}. The latest it named stands.
HOLD = f"""
    {_NOW}
    local next_at = redis.call('HGET', KEYS[1], 'next')
    redis.call('HDEL', KEYS[1], 'prober', 'until')
    if next_at and tonumber(next_at) >= now + ARGV[1] then return 0 end
    redis.call('HSETNX', KEYS[1], 'since', now)
    redis.call('HSET', KEYS[1], 'next', now + ARGV[1], 'trouble', 'throttled', 'words', ARGV[2], 'service', ARGV[4])
    redis.call('PEXPIRE', KEYS[1], ARGV[1] + ARGV[3])
    return next_at and 0 or 1
"""

# It works: 1 if it was open; -1 if it stays so, for the service asked to be left alone, and this was no probe, or it
# refused letter after letter, and took none (ARGV 2).
CLOSE = f"""
    {_NOW}
    local next_at, trouble, prober, refused =
        unpack(redis.call('HMGET', KEYS[1], 'next', 'trouble', 'prober', 'refused'))
    if next_at and refused and ARGV[2] == '0' then return -1 end
    if next_at and trouble == 'throttled' and tonumber(next_at) > now and prober ~= ARGV[1] then return -1 end
    redis.call('DEL', KEYS[1])
    return next_at and 1 or 0
"""

# A probe that was answered, but not about us: another may begin, in so many milliseconds.
AGAIN = f"""
    {_NOW}
    if redis.call('HGET', KEYS[1], 'prober') ~= ARGV[1] then return 0 end
    redis.call('HDEL', KEYS[1], 'prober', 'until')
    redis.call('HSET', KEYS[1], 'next', now + ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[2] + ARGV[3])
    return 1
"""

# A probe that had nothing to try.
LEAVE = "if redis.call('HGET', KEYS[1], 'prober') == ARGV[1] then redis.call('HDEL', KEYS[1], 'prober', 'until') end"

# Keep the probe, if it is this worker's; say when a letter was begun that was taken (ms by this clock; -1: none).
# {for how many milliseconds it has been open, -1 if it is not; what is the matter; how many milliseconds ago a letter
# was begun that was taken, the latest of all workers, -1 for none lately; what time it is}
RENEW = f"""
    {_NOW}
    local next_at, prober, since, trouble, refused =
        unpack(redis.call('HMGET', KEYS[1], 'next', 'prober', 'since', 'trouble', 'refused'))
    trouble = refused and 'refused' or trouble
    if prober == ARGV[1] then redis.call('HSET', KEYS[1], 'until', now + ARGV[2]) end
    local taken = tonumber(redis.call('GET', KEYS[2]) or 0)
    if tonumber(ARGV[3]) > taken then
        taken = math.min(now, tonumber(ARGV[3]))
        redis.call('SET', KEYS[2], string.format('%.0f', taken), 'PX', ARGV[4])
    end
    return {{next_at and now - since or -1, next_at and trouble or '', taken > 0 and now - taken or -1, now}}
"""

"""Views: counted in Redis as they happen, added to the posts once a minute, each once whatever dies in between.

Redis here is the broker's, which never evicts. `seen` counts in one hash. `flush` renames the hash to a batch with an
id of its own, writes id and figures in one transaction, and drops the batch: a batch that is met again after a crash is
in the ledger of batches, and is only dropped.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from functools import cache
from typing import Any

import redis
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from vestnik.blog.models import ViewBatch
from vestnik.settings import impatient

logger = logging.getLogger(__name__)

VIEWS, BATCH = "vestnik:views", "vestnik:views:batch"
ID = ":id"  # the batch's own field among its slugs, which have no colons
MOST_SLUGS = 100_000
"""Addresses counted between two flushes: whoever makes up more fills no memory with them."""

REMEMBERED = timedelta(days=30)

COUNT = f"""
    if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 or redis.call('HLEN', KEYS[1]) < {MOST_SLUGS} then
        redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
    end
"""

# The batch that was left, or else all that was counted since, under the id given.
TAKE = f"""
    if redis.call('EXISTS', KEYS[2]) == 0 then
        if redis.call('EXISTS', KEYS[1]) == 0 then return {{}} end
        redis.call('RENAME', KEYS[1], KEYS[2])
        redis.call('HSET', KEYS[2], '{ID}', ARGV[1])
    end
    return redis.call('HGETALL', KEYS[2])
"""

DROP = f"if redis.call('HGET', KEYS[1], '{ID}') == ARGV[1] then redis.call('DEL', KEYS[1]) end"

REMEMBER = "INSERT INTO blog_viewbatch (id) VALUES (%s) ON CONFLICT DO NOTHING"

# Slugs that no post has (any more) are nobody's views.
ADD = """
    UPDATE blog_post SET views = views + seen.times
    FROM unnest(%s::text[], %s::bigint[]) AS seen (slug, times) WHERE blog_post.slug = seen.slug
"""


def seen(slug: str) -> None:
    """One more view of the post. Where Redis is away it is lost, with a line in the log."""
    try:
        _redis().eval(COUNT, 1, VIEWS, slug)
    except (redis.RedisError, OSError) as error:
        logger.warning("a view of %s was not counted: %s", slug, error)


def flush() -> int:
    """Add to the posts what was counted since the last flush; how many views. Raises redis.RedisError."""
    taken = [each.decode() for each in _redis().eval(TAKE, 2, VIEWS, BATCH, str(uuid.uuid4()))]
    if not taken:
        return 0
    counts = dict(zip(taken[::2], taken[1::2], strict=True))
    batch = counts.pop(ID)
    added = _add(batch, {slug: int(times) for slug, times in counts.items()})
    _redis().eval(DROP, 1, BATCH, batch)
    return added


@transaction.atomic
def _add(batch: str, counts: dict[str, int]) -> int:
    """Add the counts, unless the batch was added before; another process with the same batch waits for this one."""
    ViewBatch.objects.filter(added_at__lt=Now() - REMEMBERED).delete()
    with connection.cursor() as cursor:
        cursor.execute(REMEMBER, [batch])
        if not cursor.rowcount:
            return 0
        cursor.execute(ADD, [list(counts), list(counts.values())])
    return sum(counts.values())


@cache
def _redis() -> Any:
    return redis.Redis.from_url(impatient(settings.REDIS_URL))

"""Views: counted in Redis as they happen, and added to the posts once a minute, each once whatever dies in between.

Redis here is the broker's, which never evicts. `count_view` counts in one hash, which gets an id with its first view.
`flush` renames the hash to a batch, records in one transaction which of its views were added, under its id, and drops
it. If a batch is met again, after a crash between two of these steps or a Redis restored from a backup, the record
tells what not to add again.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from datetime import timedelta
from functools import partial

import redis
from django.db import connection, transaction
from django.db.models.functions import Now

from vestnik import locks
from vestnik.blog.models import ViewBatch
from vestnik.redis_client import impatient_redis

logger = logging.getLogger(__name__)

VIEWS, BATCH = "vestnik:views", "vestnik:views:batch"
ID = ":id"  # the hash's own field among its slugs, which have no colons
SLUG = re.compile(r"[-a-zA-Z0-9_]{1,200}")
MOST_SLUGS = 100_000
"""Addresses counted between two flushes: made-up ones do not fill the memory."""

REMEMBERED = timedelta(days=30)

PAUSE_SECONDS = 2.0
"""How long a Redis that did not answer is not asked again: no thread of the web waits for it at every view."""

# The last argument is the hash's id if this view is its first.
COUNT = f"""
    if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
        if redis.call('HLEN', KEYS[1]) > {MOST_SLUGS} then return 0 end
        redis.call('HSETNX', KEYS[1], '{ID}', ARGV[2])
    end
    redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
    return 1
"""

# Take the batch that was left over, or else all that was counted since; return its id.
TAKE = f"""
    if redis.call('EXISTS', KEYS[2]) == 0 then
        if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
        redis.call('RENAME', KEYS[1], KEYS[2])
    end
    return redis.call('HGET', KEYS[2], '{ID}')
"""

DROP = f"if redis.call('HGET', KEYS[1], '{ID}') == ARGV[1] then redis.call('UNLINK', KEYS[1]) end"

# Only to posts that can be read: an address that leads nowhere (yet, or any more) is seen by nobody.
ADD = """
    UPDATE blog_post SET views = views + seen.times
    FROM unnest(%s::text[], %s::bigint[]) AS seen (slug, times)
    WHERE blog_post.slug = seen.slug AND NOT draft AND publish_at <= statement_timestamp()
    RETURNING seen.slug, seen.times
"""


def count_view(slug: str) -> bool:
    """Count one more view of the post; return whether it was counted.

    While Redis is away it is not, which is logged.
    """
    global _silent_since
    if not SLUG.fullmatch(slug) or time.monotonic() - _silent_since < PAUSE_SECONDS:
        return False
    try:
        return bool(impatient_redis(once=True).eval(COUNT, 1, VIEWS, slug, str(uuid.uuid4())))
    except (redis.RedisError, OSError) as error:
        _silent_since = time.monotonic()
        logger.warning("views are not counted for %.0f s, beginning with one of %s: %s", PAUSE_SECONDS, slug, error)
        return False


def flush() -> int:
    """Add to the posts the views counted since the last flush; return how many. Raises redis.RedisError.

    Inside a transaction it takes effect with it, or not at all.
    """
    return _flush() + _flush()  # what another left that died, and what came since


def catch_up() -> None:
    """Add the views counted so far, before a post gets another address or is hidden: they are of the post as it was.

    While Redis is away that waits for `flush`, which may not find the post any more.
    """
    try:
        flush()
    except (redis.RedisError, OSError) as error:
        logger.warning("views counted so far are added later: %s", error)


@transaction.atomic
def _flush() -> int:
    locks.wait(locks.BLOG)
    batch = impatient_redis(once=True).eval(TAKE, 2, VIEWS, BATCH)
    if batch is None:
        return 0
    # Piece by piece: nobody changes a batch, and nobody takes the next before this transaction ends.
    found = dict(impatient_redis(once=True).hscan_iter(BATCH, count=1000))
    added = _add(batch.decode(), {slug.decode(): int(times) for slug, times in found.items() if slug != ID.encode()})
    transaction.on_commit(partial(_drop, batch))
    return added


def _add(batch: str, counts: dict[str, int]) -> int:
    """Add the counts that were not added before; return how many views."""
    ViewBatch.objects.filter(added_at__lt=Now() - REMEMBERED).delete()
    record, _new = ViewBatch.objects.select_for_update().get_or_create(pk=batch)
    rest = {slug: more for slug, times in counts.items() if (more := times - record.added.get(slug, 0)) > 0}
    with connection.cursor() as cursor:
        cursor.execute(ADD, [list(rest), list(rest.values())])
        added = dict(cursor.fetchall())
    record.added |= {slug: record.added.get(slug, 0) + times for slug, times in added.items()}
    record.save(update_fields=["added"])
    return sum(added.values())


def _drop(batch: bytes) -> None:
    try:
        impatient_redis(once=True).eval(DROP, 1, BATCH, batch)
    except (redis.RedisError, OSError) as error:
        logger.warning("views that were added are still in Redis; the next flush drops them: %s", error)


_silent_since = -PAUSE_SECONDS

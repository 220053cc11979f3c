"""How ends of letters are counted: in the statement that ends them, so that no count can be lost or doubled."""

# Wants a CTE `settled` with the columns run_id, worker, state, tries, and those of NOT_ENDED: the end that a letter had
# before, if it had one (`was`, `was_at`: it is counted out, in the quarter in which it was counted), and for a sent one
# the seconds since its run's letters were written. There is one tally row per run, worker and quarter of an hour (its
# beginning is the column `hour`: days begin at a quarter in every zone). Rows are written in one order, for two
# statements may count in the same rows (worker 0). Such a CTE sets `settled_at` to `statement_timestamp()` as well, by
# which the quarter is found later.
QUARTER = "date_bin('15 minutes', {}, timestamptz '2000-01-01 00:00:00+00')"
COUNT = f"""
    INSERT INTO mailings_tally AS tally (run_id, worker_id, hour, sent, failed, expired, cancelled, unknown, attempts,
                                         seconds, within_second, within_minute, within_hour)
    SELECT run_id, worker, hour,
           coalesce(sum(n) FILTER (WHERE state = 'sent'), 0), coalesce(sum(n) FILTER (WHERE state = 'failed'), 0),
           coalesce(sum(n) FILTER (WHERE state = 'expired'), 0), coalesce(sum(n) FILTER (WHERE state = 'cancelled'), 0),
           coalesce(sum(n) FILTER (WHERE state = 'unknown'), 0), sum(tries), coalesce(sum(seconds), 0),
           count(*) FILTER (WHERE seconds <= 1), count(*) FILTER (WHERE seconds <= 60),
           count(*) FILTER (WHERE seconds <= 3600)
    FROM (
        SELECT run_id, worker, (SELECT {QUARTER.format("statement_timestamp()")}) AS hour, state, 1 AS n, tries,
               seconds
        FROM settled WHERE state <> 'queued' OR tries > 0
        UNION ALL
        SELECT run_id, worker, {QUARTER.format("was_at")}, was, -1, 0, NULL FROM settled WHERE was_at IS NOT NULL
    ) AS ended
    GROUP BY run_id, worker, hour ORDER BY run_id, worker, hour
    ON CONFLICT (run_id, worker_id, hour) DO UPDATE SET
        sent = tally.sent + excluded.sent, failed = tally.failed + excluded.failed,
        expired = tally.expired + excluded.expired, cancelled = tally.cancelled + excluded.cancelled,
        unknown = tally.unknown + excluded.unknown, attempts = tally.attempts + excluded.attempts,
        seconds = tally.seconds + excluded.seconds, within_second = tally.within_second + excluded.within_second,
        within_minute = tally.within_minute + excluded.within_minute,
        within_hour = tally.within_hour + excluded.within_hour
"""

# For letters that had not ended before, and are neither sent nor (NOT_TRIED) tried by the statement.
NOT_ENDED = "NULL::text AS was, NULL::timestamptz AS was_at, NULL::float8 AS seconds"
NOT_TRIED = f"0 AS tries, {NOT_ENDED}"

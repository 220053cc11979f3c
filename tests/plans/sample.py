"""Rows like those of an installation: some owners, a past, and one run under way with most of the letters."""

GRANTS = (
    ("clients_clientlistuserobjectpermission", "clients_clientlist", "clientlist"),
    ("mailings_messageuserobjectpermission", "mailings_message", "message"),
    ("mailings_mailinguserobjectpermission", "mailings_mailing", "mailing"),
)
PEOPLE = 20
CLIENTS = 4_000
RUNS = 400


def rows(people: int, clients: int, runs: int, under_way: int) -> dict[str, str]:
    """A statement for each table, what is referred to first. `under_way`: letters of the last run; 0 if it is over."""
    owner = f"1 + n % {people}"
    run_of = f"CASE WHEN n <= {under_way} THEN {runs} ELSE 1 + n % greatest({runs} - {int(under_way > 0)}, 1) END"
    return {
        "accounts_user": f"""
            INSERT INTO accounts_user (id, email, full_name, password, language, time_zone, confirmed_at, is_superuser,
                                       is_staff, is_active, date_joined, sessions_from)
            SELECT n, 'person' || n || '@example.org', 'Person ' || n, '', 'en', 'UTC', now(), n = 2, n = 2, true,
                   now(), 0
            FROM generate_series(1, {people}) n
        """,
        "clients_clientlist": f"""
            INSERT INTO clients_clientlist (id, name, created_at, owner_id)
            SELECT n, 'List ' || n, now(), n FROM generate_series(1, {people}) n
        """,
        "clients_client": f"""
            INSERT INTO clients_client (id, owner_id, email, full_name, name_key, comment, attributes, created_at,
                                        updated_at)
            SELECT n, {owner}, 'client' || n || '@example.org', 'Client ' || n, 'client ' || n, '',
                   '{{"city": "Riga"}}', now(), now()
            FROM generate_series(1, {clients}) n
        """,
        "clients_membership": f"""
            INSERT INTO clients_membership (id, client_list_id, client_id)
            SELECT n, {owner}, n FROM generate_series(1, {clients}) n
        """,
        "clients_suppression": f"""
            INSERT INTO clients_suppression (owner_id, address, client_list_id, reason)
            SELECT {owner}, 'client' || n || '@example.org', CASE WHEN n % 10 = 0 THEN {owner} END, 'unsubscribed'
            FROM generate_series(1, {clients}) n WHERE n % 4 = 0
            UNION ALL
            SELECT NULL, 'client' || n || '@example.org', NULL, 'bounced'
            FROM generate_series(1, {clients}) n WHERE n % 40 = 1
        """,
        "clients_clientimport": f"""
            INSERT INTO clients_clientimport (id, owner_id, file_name, list_name, reason, state, finished_at)
            SELECT n, {owner}, 'clients.csv', '', '', 'done', now() FROM generate_series(1, {people}) n
        """,
        "mailings_message": f"""
            INSERT INTO mailings_message (id, subject, html, text, created_at, updated_at, owner_id)
            SELECT n, 'News', '', repeat('News. ', 100), now(), now(), {owner} FROM generate_series(1, {runs}) n
        """,
        "mailings_mailing": f"""
            INSERT INTO mailings_mailing (id, name, sender_name, start, "end", periodicity, time_zone, next_at,
                                          switched_off_reason, created_at, updated_at, owner_id, message_id)
            SELECT n, 'Mailing ' || n, '', now(), now() + interval '1 year', 'daily', 'UTC',
                   CASE WHEN n % 10 = 0 THEN now() + n * interval '1 hour' END, '', now(), now(), {owner}, n
            FROM generate_series(1, {runs}) n
        """,
        "mailings_mailing_lists": f"""
            INSERT INTO mailings_mailing_lists (id, mailing_id, clientlist_id)
            SELECT n, n, 1 + n % {people} FROM generate_series(1, {runs}) n
        """,
        **{
            table: f"""
                INSERT INTO {table} (permission_id, user_id, content_object_id)
                SELECT permission.id, owner_id, thing.id FROM {of} thing, auth_permission permission
                WHERE codename IN ('view_{kind}', 'change_{kind}', 'delete_{kind}')
            """
            for table, of, kind in GRANTS
        },
        "mailings_worker": """
            INSERT INTO mailings_worker (id, name, provider, ended_at)
            SELECT n, 'bulk@host', 'smtp', CASE WHEN n > 2 THEN now() END FROM generate_series(1, 30) n
        """,
        "mailings_run": f"""
            INSERT INTO mailings_run (id, mailing_id, owner_id, occurrence, state, reason, opened_at, filled_at,
                                      window_end, finished_at, total, key, sender, sender_name, reply_to, subject, html,
                                      text)
            SELECT n, n, {owner}, now() - at, state, '', now() - at, now() - at, now() + interval '1 day' - at,
                   CASE WHEN state <> 'open' THEN now() - at END, 100, 'key', 'herald@vestnik.test', '', '', 'News', '',
                   repeat('News. ', 100)
            FROM generate_series(1, {runs}) n,
            LATERAL (SELECT ({runs} - n) * interval '1 hour', CASE WHEN {under_way} > 0 AND n = {runs} THEN 'open'
                                                                    ELSE 'finished' END) AS it (at, state)
        """,
        "mailings_delivery": f"""
            INSERT INTO mailings_delivery (id, run_id, client_id, address, state, due_at, worker_id, claim, attempts,
                                           settled_at)
            SELECT n, {run_of}, n, 'client' || n || '@example.org', state,
                   CASE WHEN state = 'queued' THEN now() END, CASE WHEN state = 'sending' THEN 1 END,
                   (state <> 'queued')::int, (state IN ('sent', 'failed'))::int,
                   CASE WHEN state IN ('sent', 'failed') THEN now() END
            FROM generate_series(1, {clients}) n,
            LATERAL (SELECT CASE WHEN n > {under_way} THEN CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'sent' END
                                 WHEN {runs} = 1 THEN 'queued'
                                 WHEN n % 100 = 0 THEN 'failed' WHEN n % 100 = 1 THEN 'sending'
                                 WHEN n % 3 = 0 THEN 'sent' ELSE 'queued' END) AS it (state)
        """,
        "mailings_attempt": """
            INSERT INTO mailings_attempt (delivery_id, claim, outcome, charged, code, answer, began_at, duration,
                                          worker_id)
            SELECT id, 1, CASE WHEN state = 'sent' THEN 'accepted' ELSE 'permanent' END, true,
                   CASE WHEN state = 'sent' THEN 250 ELSE 550 END, '250 2.0.0 Ok', now(), 0.1, 1
            FROM mailings_delivery WHERE state IN ('sent', 'failed')
        """,
        "mailings_deliveryevent": """
            INSERT INTO mailings_deliveryevent (day, delivery_id, kind, run_id, client_id, bounce, status, answer,
                                                source)
            SELECT run.opened_at::date, d.id, CASE WHEN d.id % 60 = 1 THEN 'complained' ELSE 'bounced' END, run_id,
                   client_id, CASE WHEN d.id % 60 = 1 THEN '' WHEN d.id % 60 = 21 THEN 'soft' ELSE 'hard' END, '', '',
                   'mail'
            FROM mailings_delivery d JOIN mailings_run run ON run.id = run_id WHERE d.state = 'sent' AND d.id % 20 = 1
        """,
        "mailings_tally": f"""
            INSERT INTO mailings_tally (run_id, worker_id, hour, sent, failed, attempts)
            SELECT n, worker, date_trunc('hour', now()) - n * interval '1 hour', 50, 1, 51
            FROM generate_series(1, {runs}) n, generate_series(0, 2) worker
        """,
        "mailings_deadletterreport": f"""
            INSERT INTO mailings_deadletterreport (run_id, reason)
            SELECT n, 'failed-permanent-550' FROM generate_series(1, {runs}) n
        """,
        "accounts_accountletter": f"""
            INSERT INTO accounts_accountletter (recipient, subject, content, key, state, due_at, claim, attempts, code,
                                                answer, settled_at)
            SELECT 'person' || n || '@example.org', 'Confirm', '', n || '@vestnik.test', 'sent', NULL, 1, 1, 250, '',
                   now()
            FROM generate_series(1, {people}) n
        """,
        "accounts_submission": f"""
            INSERT INTO accounts_submission (user_id, key, address, at)
            SELECT n, gen_random_uuid(), '', now() FROM generate_series(1, {people}) n
        """,
        "django_session": f"""
            INSERT INTO django_session (session_key, session_data, expire_date)
            SELECT 'session' || n, repeat('x', 200), now() + interval '1 day' FROM generate_series(1, {people}) n
        """,
    }


SAMPLE = rows(PEOPLE, CLIENTS, RUNS, CLIENTS * 4 // 5)
FIRST = rows(PEOPLE, CLIENTS, 1, CLIENTS)
YOUNG = rows(2, 20, 1, 0)

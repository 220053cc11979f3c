"""Who gets no letter, in SQL: asked for each client at launch, and again for each letter when it is claimed.

One rule for counts, launches, claims and second tries. It looks an address up, and by the index of addresses alone,
whatever else is known of it (docs/decisions/0028); the rest is asked only where something was found.
"""

from vestnik.clients.suppressions import OF_MAILINGS_ALONE

_PASSED = ", ".join(f"'{reason.value}'" for reason in OF_MAILINGS_ALONE)


def stop_sql(*, address: str, client: str, owner: str, service: str, lists: str, single: str) -> str:
    """Return a SELECT of the reason why somebody gets no letter of a mailing; no row where they get it.

    All are SQL: their address and client's id, the mailing's owner, whether it is about service letters, a SELECT of
    the mailing's lists (as `id`), and whether it names them singly. Who has left a list gets its mailings by another
    list that they have not left, or by name; the strictest reason comes first.
    """
    return f"""
        SELECT stopped.reason FROM (
            SELECT (
                SELECT known.reason FROM (SELECT * FROM clients_suppression WHERE address = {address} OFFSET 0) AS known
                WHERE (known.owner_id = {owner} OR known.owner_id IS NULL) AND known.lifted_at IS NULL
                  AND NOT ({service} AND known.reason IN ({_PASSED}))
                  AND (known.client_list_id IS NULL OR NOT {single}
                      AND EXISTS (SELECT FROM ({lists}) AS uses WHERE uses.id = known.client_list_id OFFSET 0)
                      AND NOT EXISTS (
                          SELECT FROM ({lists}) AS uses
                          CROSS JOIN LATERAL (
                              SELECT id FROM clients_membership
                              WHERE client_list_id = uses.id AND client_id = {client} LIMIT 1
                          ) AS member
                          WHERE NOT EXISTS (
                              SELECT FROM (
                                  SELECT * FROM clients_suppression WHERE address = {address} OFFSET 0
                              ) AS other
                              WHERE other.owner_id = {owner} AND other.client_list_id = uses.id
                                AND other.lifted_at IS NULL OFFSET 0
                          ) OFFSET 0
                      ))
                ORDER BY known.reason IN ({_PASSED}), known.owner_id, known.id LIMIT 1
            ) AS reason
            FROM (SELECT FROM clients_suppression WHERE address = {address} LIMIT 1) AS there OFFSET 0
        ) AS stopped WHERE stopped.reason IS NOT NULL
    """


def _of_run(address: str, client: str) -> str:
    return stop_sql(
        address=address,
        client=client,
        owner="run.owner_id",
        service="run.kind = 'service'",
        lists="SELECT clientlist_id AS id FROM mailings_mailing_lists WHERE mailing_id = run.mailing_id",
        single=f"""EXISTS (
            SELECT FROM mailings_mailing_clients WHERE mailing_id = run.mailing_id AND client_id = {client} OFFSET 0
        )""",
    )


OF_LETTER = _of_run("d.address", "d.client_id")
"""Wants a letter `d` and its `run`."""

OF_CLIENT = _of_run("client.email", "client.id")
"""Wants a `client` and the `run` that may write to it."""

OF_AUDIENCE = stop_sql(
    address="client.email",
    client="client.id",
    owner="client.owner_id",
    service="%(service)s",
    lists="SELECT unnest(%(lists)s::bigint[]) AS id",
    single="client.id = ANY (%(single)s::bigint[])",
)
"""Wants a `client`, and what a form says of the mailing."""

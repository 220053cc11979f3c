"""Who gets no letter, in SQL: asked for each client at launch, and again for each letter when it is claimed."""

from vestnik.clients.suppressions import stop_sql

# Wants `client` and two parameters: whether it is about service letters, and (behind, by whoever uses it) the owner.
AT_LAUNCH = stop_sql("client.email", "client.owner_id", "%s")

# Wants a letter `d` and its `run`. Whoever has left a list that the mailing uses gets its letters only if another list,
# or the mailing itself, names them (leaving a list takes one off it): this finds them in a run that was being launched
# at that moment.
AT_CLAIM = f"""
    SELECT reason FROM ({stop_sql("d.address", "run.owner_id", "run.kind = 'service'")}) AS stopped
    UNION ALL
    SELECT reason FROM (SELECT * FROM clients_suppression WHERE address = d.address OFFSET 0) AS known
    WHERE owner_id = run.owner_id AND client_list_id IS NOT NULL AND lifted_at IS NULL AND run.kind <> 'service'
      AND EXISTS (
          SELECT FROM mailings_mailing_lists
          WHERE mailing_id = run.mailing_id AND clientlist_id = known.client_list_id OFFSET 0
      ) AND NOT EXISTS (
          SELECT FROM mailings_mailing_lists uses
          CROSS JOIN LATERAL (
              SELECT id FROM clients_membership
              WHERE client_list_id = uses.clientlist_id AND client_id = d.client_id LIMIT 1
          ) AS other
          WHERE uses.mailing_id = run.mailing_id OFFSET 0
      ) AND NOT EXISTS (
          SELECT FROM mailings_mailing_clients WHERE mailing_id = run.mailing_id AND client_id = d.client_id OFFSET 0
      )
    LIMIT 1
"""

"""One spelling for each attribute of an owner's clients: the one that the first client has, of those stored so far."""

from itertools import groupby

from django.db import connection, migrations

from vestnik.clients.attributes import NAME_LENGTH, key, named

NAMES = """
    SELECT owner_id, name, min(client.id) FROM clients_client AS client, jsonb_object_keys(attributes) AS name
    GROUP BY owner_id, name ORDER BY owner_id, min(client.id), name
"""

# A client that has both spellings keeps both texts, unless they are the same one.
RENAME = """
    WITH renamed AS (
        UPDATE clients_client SET attributes = attributes - %(before)s::text || jsonb_build_object(
            CASE WHEN attributes ? %(now)s::text AND attributes -> %(now)s::text <> attributes -> %(before)s::text
                THEN %(spare)s::text ELSE %(now)s::text END,
            attributes -> %(before)s::text
        )
        WHERE owner_id = %(owner)s AND attributes ? %(before)s::text
        RETURNING attributes ? %(spare)s::text AS has_spare
    )
    SELECT coalesce(bool_or(has_spare), false) FROM renamed
"""

LEARN = "INSERT INTO clients_attributename (owner_id, key, name) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"


def unite(*_args):
    with connection.cursor() as cursor:
        cursor.execute(NAMES)
        for owner, found in groupby(cursor.fetchall(), key=lambda row: row[0]):
            stored = [name for _owner, name, _first in found if named(name)]  # what nothing can name is left as it is
            names = {}
            for name in stored:
                names.setdefault(key(name), named(name))
            for name in stored:
                if name != (now := names[key(name)]):
                    spare = _spare(now, names)
                    cursor.execute(RENAME, {"owner": owner, "before": name, "now": now, "spare": spare})
                    if cursor.fetchone()[0]:
                        names[key(spare)] = spare
            cursor.executemany(LEARN, [(owner, *spelled) for spelled in sorted(names.items())])


def _spare(name, names):
    number = 2
    while key(f"{name[: NAME_LENGTH - 5]}_{number}") in names:
        number += 1
    return f"{name[: NAME_LENGTH - 5]}_{number}"


class Migration(migrations.Migration):
    safe_because = (
        "Read are all clients, locked only those whose owner spelled an attribute in two ways; the version before goes"
        " on reading and writing attributes by the names that it finds."
    )

    dependencies = [
        ('clients', '0003_attribute_names'),
    ]

    operations = [
        migrations.RunPython(unite, migrations.RunPython.noop),
    ]

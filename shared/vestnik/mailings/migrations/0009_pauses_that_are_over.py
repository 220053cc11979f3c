from django.db import migrations

# As `runs.end_pause_if_over` does since the version before last: what was over and paused by then stayed so.
END = """
    UPDATE mailings_mailing SET paused_at = NULL, released_at = statement_timestamp()
    WHERE paused_at IS NOT NULL AND next_at IS NULL AND NOT EXISTS (
        SELECT FROM mailings_run WHERE mailing_id = mailings_mailing.id AND state = 'open' AND cancelled_at IS NULL
    )
"""


class Migration(migrations.Migration):
    safe_because = "it does what both versions do to such rows when they are touched, and few there are"

    dependencies = [("mailings", "0008_names")]

    operations = [migrations.RunSQL(END, migrations.RunSQL.noop, elidable=True)]

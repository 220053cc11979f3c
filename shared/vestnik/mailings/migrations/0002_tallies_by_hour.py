import django.db.models.deletion
from django.db import migrations, models

# Tallies of before: what of their runs' time they are of is not known; the hour in which it began is near enough.
FILL = """
    UPDATE mailings_tally SET hour = date_trunc('hour', run.opened_at, 'UTC')
    FROM mailings_run run WHERE run.id = mailings_tally.run_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("mailings", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="tally",
            name="hour",
            field=models.DateTimeField(null=True, verbose_name="hour"),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="tally",
            name="hour",
            field=models.DateTimeField(verbose_name="hour"),
        ),
        migrations.RemoveConstraint(model_name="tally", name="tally_once_per_worker"),
        migrations.AddConstraint(
            model_name="tally",
            constraint=models.UniqueConstraint(fields=("run", "worker_id", "hour"), name="tally_once_per_hour"),
        ),
        migrations.AddField(model_name="tally", name="seconds", field=models.FloatField(db_default=0.0)),
        migrations.AddField(model_name="tally", name="within_second", field=models.IntegerField(db_default=0)),
        migrations.AddField(model_name="tally", name="within_minute", field=models.IntegerField(db_default=0)),
        migrations.AddField(model_name="tally", name="within_hour", field=models.IntegerField(db_default=0)),
        migrations.AddField(
            model_name="run",
            name="again_of",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="mailings.run"
            ),
        ),
        migrations.AddField(model_name="run", name="again_id", field=models.UUIDField(null=True)),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["owner_id", "opened_at"], name="run_by_owner"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("state__in", ["failed", "unknown", "expired", "cancelled"])),
                fields=["run", "state", "client_id"],
                name="delivery_ended_unsent",
            ),
        ),
    ]

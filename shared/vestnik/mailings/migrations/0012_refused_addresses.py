from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("mailings", "0011_unsubscribing")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="refusals_seen_at",
            field=models.DateTimeField(db_default=Now(), null=True, verbose_name="refusals looked at"),
        ),
        migrations.AddField(
            model_name="run",
            name="refused_asked",
            field=models.IntegerField(db_default=0, verbose_name="refused addresses in question"),
        ),
        AddIndexConcurrently(
            model_name="run",
            index=models.Index(
                fields=["id"],
                name="run_refusals_unseen",
                condition=models.Q(refusals_seen_at=None) & ~models.Q(state="open"),
            ),
        ),
    ]

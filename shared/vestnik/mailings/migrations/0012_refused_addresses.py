from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
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
    ]

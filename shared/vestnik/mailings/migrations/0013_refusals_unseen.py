from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("mailings", "0012_refused_addresses")]

    operations = [
        AddIndexConcurrently(
            model_name="run",
            index=models.Index(
                fields=["id"],
                name="run_refusals_unseen",
                condition=models.Q(refusals_seen_at=None) & ~models.Q(state="open"),
            ),
        ),
    ]

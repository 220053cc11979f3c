from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("mailings", "0009_pauses_that_are_over")]

    operations = [
        AddIndexConcurrently(
            model_name="tally",
            index=models.Index(fields=["hour"], name="tally_by_hour"),
        ),
    ]

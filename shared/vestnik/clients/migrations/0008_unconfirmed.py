from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("clients", "0007_names")]

    operations = [
        AddIndexConcurrently(
            model_name="clientimport",
            index=models.Index(fields=["created_at"], name="import_unconfirmed", condition=models.Q(state="asked")),
        ),
    ]

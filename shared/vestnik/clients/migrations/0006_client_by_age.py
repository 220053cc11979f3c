from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("clients", "0005_list_changed_at")]

    operations = [
        AddIndexConcurrently(
            model_name="client", index=models.Index(fields=["owner", "id"], name="client_by_age")
        ),
    ]

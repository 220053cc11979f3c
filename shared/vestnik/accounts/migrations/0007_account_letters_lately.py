import django.contrib.postgres.indexes
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_audit_by_actor")]

    operations = [
        migrations.AddIndex(
            model_name="accountletter",
            index=django.contrib.postgres.indexes.BrinIndex(
                fields=["settled_at"], name="account_letter_lately", pages_per_range=8
            ),
        ),
    ]

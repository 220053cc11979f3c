from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_names")]

    operations = [
        migrations.AddField(
            model_name="accountletter",
            name="recipient_key",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="accountletter",
            index=models.Index(
                fields=["recipient_key", "-id"],
                name="account_letter_counted",
                condition=Q(recipient_key__isnull=False),
            ),
        ),
    ]

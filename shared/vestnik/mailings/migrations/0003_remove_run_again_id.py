from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("mailings", "0002_tallies_by_hour")]

    operations = [migrations.RemoveField(model_name="run", name="again_id")]

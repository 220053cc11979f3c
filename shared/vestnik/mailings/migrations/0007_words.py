from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailings", "0006_start_moved")]

    operations = [
        migrations.AlterField(  # what an open run is called; nothing changes in the database
            model_name="run",
            name="state",
            field=models.CharField(
                choices=[
                    ("open", "running"),
                    ("finished", "finished"),
                    ("cancelled", "cancelled"),
                    ("missed", "missed"),
                    ("skipped", "skipped"),
                ],
                max_length=9,
                verbose_name="state",
            ),
        ),
    ]

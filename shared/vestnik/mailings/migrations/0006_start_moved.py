from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mailings", "0005_dead_letters_by_run"),
    ]

    operations = [
        migrations.AddField(
            model_name="mailing",
            name="start_moved",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
    ]

import vestnik.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('accounts', '0009_recipient_key'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='postal_address',
            field=models.CharField(blank=True, db_default='', help_text='Shown at the foot of your letters; many countries require it.', max_length=300, validators=[vestnik.fields.validate_one_line], verbose_name='postal address'),
        ),
        migrations.AlterField(
            model_name='auditentry',
            name='action',
            field=models.CharField(choices=[('switched off', 'switched off'), ('switched on', 'switched on'), ('blocked', 'blocked'), ('unblocked', 'unblocked'), ('shared', 'shared'), ('unshared', 'no longer shared'), ('copied', 'copied for a mailing'), ('service letters', 'made service letters'), ('mailing again', 'made a mailing again'), ('requeued', 'tried again'), ('discarded', 'discarded')], max_length=16, verbose_name='action'),
        ),
    ]

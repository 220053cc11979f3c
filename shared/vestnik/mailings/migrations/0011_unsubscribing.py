import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


# What was written before is in its owner's language, as far as anybody knows.
LANGUAGES = """
    UPDATE mailings_message SET language = accounts_user.language
    FROM accounts_user WHERE accounts_user.id = mailings_message.owner_id AND accounts_user.language <> 'en'
"""


class Migration(migrations.Migration):
    safe_because = "the version before does not know the column, and messages are few"
    dependencies = [
        ('clients', '0009_suppressions'),
        ('mailings', '0010_tallies_of_a_day'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='LinkKey',
            fields=[
                ('id', models.PositiveSmallIntegerField(primary_key=True, serialize=False, verbose_name='version')),
                ('key', models.BinaryField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at')),
            ],
            options={
                'verbose_name': 'link key',
                'verbose_name_plural': 'link keys',
                'default_permissions': (),
            },
        ),
        migrations.AlterModelOptions(
            name='mailing',
            options={'permissions': [('switch_mailing', 'Can switch a mailing off and on'), ('write_service_letters', 'Can send service letters, from which nobody can unsubscribe')], 'verbose_name': 'mailing', 'verbose_name_plural': 'mailings'},
        ),
        migrations.AddField(
            model_name='delivery',
            name='reason',
            field=models.CharField(blank=True, db_default='', max_length=12, verbose_name='reason'),
        ),
        migrations.AddField(
            model_name='mailing',
            name='kind',
            field=models.CharField(choices=[('mailing', 'mailing: whoever gets it can unsubscribe'), ('service', 'service letters (invoices and the like): also sent to people who unsubscribed')], db_default='mailing', default='mailing', max_length=8, verbose_name='kind'),
        ),
        migrations.AddField(
            model_name='message',
            name='language',
            field=models.CharField(choices=[('en', 'English'), ('ru', 'Русский')], db_default='en', default='en', help_text='The language of the unsubscribe link that Vestnik adds to the letter.', max_length=8, verbose_name='language'),
        ),
        migrations.AddField(
            model_name='run',
            name='kind',
            field=models.CharField(choices=[('mailing', 'mailing: whoever gets it can unsubscribe'), ('service', 'service letters (invoices and the like): also sent to people who unsubscribed')], db_default='mailing', max_length=8, verbose_name='kind'),
        ),
        migrations.AddField(
            model_name='run',
            name='left_out',
            field=models.JSONField(db_default={}, default=dict, verbose_name='left out'),
        ),
        migrations.RunSQL(LANGUAGES, migrations.RunSQL.noop),
    ]

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mailings', '0013_refusals_unseen'),
    ]

    operations = [
        migrations.AddField(
            model_name='tally',
            name='bounced',
            field=models.IntegerField(db_default=0, verbose_name='bounced'),
        ),
        migrations.AddField(
            model_name='tally',
            name='complained',
            field=models.IntegerField(db_default=0, verbose_name='complaints'),
        ),
        migrations.AddField(
            model_name='tally',
            name='dead',
            field=models.IntegerField(db_default=0, verbose_name='addresses that are dead'),
        ),
        migrations.CreateModel(
            name='DeliveryEvent',
            fields=[
                ('pk', models.CompositePrimaryKey('day', 'delivery_id', 'kind', blank=True, editable=False, primary_key=True, serialize=False)),
                ('day', models.DateField(verbose_name='day of the run')),
                ('delivery_id', models.BigIntegerField(verbose_name='letter')),
                ('kind', models.CharField(choices=[('bounced', 'bounced'), ('complained', 'complaint')], max_length=10, verbose_name='kind')),
                ('run_id', models.BigIntegerField(verbose_name='run')),
                ('client_id', models.BigIntegerField(verbose_name="client's number")),
                ('bounce', models.CharField(blank=True, choices=[('hard', 'hard bounce: there is no such mailbox'), ('soft', 'soft bounce: the mailbox did not take it'), ('policy', 'refused for what the letter or its sender is')], max_length=8, verbose_name='the bounce')),
                ('status', models.CharField(blank=True, max_length=12, verbose_name='status code')),
                ('answer', models.CharField(blank=True, max_length=1100, verbose_name='what it said')),
                ('dead', models.BooleanField(db_default=False, verbose_name='the address is dead')),
                ('source', models.CharField(max_length=60, verbose_name='reported by')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='reported at')),
            ],
            options={
                'verbose_name': 'what came back',
                'verbose_name_plural': 'what came back',
                'default_permissions': (),
                'indexes': [models.Index(fields=['run_id', 'kind', 'client_id'], name='event_by_run')],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['bounced', 'complained'])), name='event_kind'), models.CheckConstraint(condition=models.Q(models.Q(('bounce__in', ['hard', 'soft', 'policy']), ('kind', 'bounced')), models.Q(('bounce', ''), ('kind', 'complained')), _connector='OR'), name='event_bounce')],
            },
        ),
    ]

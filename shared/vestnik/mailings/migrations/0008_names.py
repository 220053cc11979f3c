import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mailings', '0007_words'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='attempt',
            name='delivery',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='tries', to='mailings.delivery', verbose_name='letter'),
        ),
        migrations.AlterField(
            model_name='attempt',
            name='worker',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mailings.worker', verbose_name='worker'),
        ),
        migrations.AlterField(
            model_name='deadletterreport',
            name='run',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mailings.run', verbose_name='run'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='client_id',
            field=models.BigIntegerField(verbose_name="client's number"),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='run',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='mailings.run', verbose_name='run'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='worker',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mailings.worker', verbose_name='worker'),
        ),
        migrations.AlterField(
            model_name='mailing',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='mailings', to=settings.AUTH_USER_MODEL, verbose_name='owner'),
        ),
        migrations.AlterField(
            model_name='mailing',
            name='switched_off_by',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='switched off by'),
        ),
        migrations.AlterField(
            model_name='message',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='messages', to=settings.AUTH_USER_MODEL, verbose_name='owner'),
        ),
        migrations.AlterField(
            model_name='run',
            name='again_of',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mailings.run', verbose_name='again of'),
        ),
        migrations.AlterField(
            model_name='run',
            name='mailing',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='runs', to='mailings.mailing', verbose_name='mailing'),
        ),
        migrations.AlterField(
            model_name='run',
            name='owner_id',
            field=models.BigIntegerField(verbose_name='owner'),
        ),
        migrations.AlterField(
            model_name='run',
            name='request_id',
            field=models.UUIDField(null=True, verbose_name='request'),
        ),
        migrations.AlterField(
            model_name='run',
            name='served_at',
            field=models.DateTimeField(null=True, verbose_name='last turn at'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='attempts',
            field=models.IntegerField(db_default=0, verbose_name='attempts'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='cancelled',
            field=models.IntegerField(db_default=0, verbose_name='cancelled'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='expired',
            field=models.IntegerField(db_default=0, verbose_name='expired'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='failed',
            field=models.IntegerField(db_default=0, verbose_name='failed'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='run',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='tallies', to='mailings.run', verbose_name='run'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='seconds',
            field=models.FloatField(db_default=0.0, verbose_name='seconds'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='sent',
            field=models.IntegerField(db_default=0, verbose_name='sent'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='unknown',
            field=models.IntegerField(db_default=0, verbose_name='unknown'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='within_hour',
            field=models.IntegerField(db_default=0, verbose_name='within an hour'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='within_minute',
            field=models.IntegerField(db_default=0, verbose_name='within a minute'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='within_second',
            field=models.IntegerField(db_default=0, verbose_name='within a second'),
        ),
        migrations.AlterField(
            model_name='tally',
            name='worker_id',
            field=models.BigIntegerField(verbose_name='worker'),
        ),
    ]

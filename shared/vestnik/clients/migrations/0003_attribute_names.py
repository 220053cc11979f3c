import django.core.validators
import django.db.models.deletion
import vestnik.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    safe_because = (
        "The constraints are of imports, a table of a row for each file: they are read in no time, and allow all that"
        " the version before writes."
    )

    dependencies = [
        ('clients', '0002_imports'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AttributeName',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.TextField(db_collation='C')),
                ('name', models.CharField(max_length=100)),
            ],
            options={
                'verbose_name': "attribute's name",
                'verbose_name_plural': "attributes' names",
            },
        ),
        migrations.RemoveConstraint(
            model_name='clientimport',
            name='import_state',
        ),
        migrations.RemoveConstraint(
            model_name='clientimport',
            name='import_over_since',
        ),
        migrations.AddField(
            model_name='clientimport',
            name='delimiter',
            field=models.CharField(blank=True, db_default='', max_length=1, verbose_name='separator'),
        ),
        migrations.AddField(
            model_name='clientimport',
            name='encoding',
            field=models.CharField(blank=True, db_default='', max_length=20, verbose_name='encoding'),
        ),
        migrations.AddField(
            model_name='clientimport',
            name='in_doubt',
            field=models.BooleanField(db_default=False, verbose_name='encoding not certain'),
        ),
        migrations.AddField(
            model_name='clientimport',
            name='remarks',
            field=models.TextField(blank=True, db_default='', verbose_name='remarks'),
        ),
        migrations.AddField(
            model_name='clientimport',
            name='repeated',
            field=models.IntegerField(db_default=0, verbose_name='rows with an address that another row has'),
        ),
        migrations.AlterField(
            model_name='client',
            name='comment',
            field=models.TextField(blank=True, max_length=10000, validators=[vestnik.fields.validate_text, django.core.validators.MaxLengthValidator(10000)], verbose_name='comment'),
        ),
        migrations.AlterField(
            model_name='clientimport',
            name='state',
            field=models.CharField(choices=[('asked', 'to be confirmed'), ('queued', 'queued'), ('running', 'running'), ('done', 'done'), ('refused', 'refused')], db_default='queued', max_length=7, verbose_name='state'),
        ),
        migrations.AddConstraint(
            model_name='clientimport',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['asked', 'queued', 'running', 'done', 'refused'])), name='import_state'),
        ),
        migrations.AddConstraint(
            model_name='clientimport',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at', None), ('state__in', ('asked', 'queued', 'running'))), models.Q(models.Q(('state__in', ('asked', 'queued', 'running')), _negated=True), ('finished_at__isnull', False)), _connector='OR'), name='import_over_since'),
        ),
        migrations.AddField(
            model_name='attributename',
            name='owner',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='attributename',
            constraint=models.UniqueConstraint(fields=('owner', 'key'), name='attribute_once_per_owner'),
        ),
    ]

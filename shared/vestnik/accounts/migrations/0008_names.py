import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_account_letters_lately'),
        ('contenttypes', '0002_remove_content_type_name'),
    ]

    operations = [
        migrations.AlterField(
            model_name='accountletter',
            name='key',
            field=models.CharField(db_collation='C', max_length=300, unique=True, verbose_name='key'),
        ),
        migrations.AlterField(
            model_name='share',
            name='content_type',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='contenttypes.contenttype', verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='share',
            name='object_id',
            field=models.BigIntegerField(verbose_name='number'),
        ),
        migrations.AlterField(
            model_name='share',
            name='user',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
    ]

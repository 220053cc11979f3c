import django.db.models.deletion
import django.db.models.functions.datetime
import vestnik.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('clients', '0008_unconfirmed'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Suppression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('address', vestnik.fields.AddressField(db_collation='C', max_length=254, verbose_name='e-mail')),
                ('reason', models.CharField(choices=[('unsubscribed', 'unsubscribed'), ('complained', 'complained of spam'), ('bounced', 'letters came back'), ('refused', 'refused by its server'), ('by hand', 'added by hand'), ('imported', 'as told by another service')], max_length=12, verbose_name='reason')),
                ('by_person', models.BooleanField(db_default=False, verbose_name='by the person')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='since')),
                ('lifted_at', models.DateTimeField(blank=True, null=True, verbose_name='lifted at')),
                ('delivery_id', models.BigIntegerField(blank=True, null=True, verbose_name='letter')),
                ('client_list', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='suppressions', to='clients.clientlist', verbose_name='list')),
                ('owner', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='suppressions', to=settings.AUTH_USER_MODEL, verbose_name='owner')),
            ],
            options={
                'verbose_name': 'suppressed address',
                'verbose_name_plural': 'suppressed addresses',
                'indexes': [models.Index(fields=['owner', '-id'], name='suppression_by_owner')],
                'constraints': [models.UniqueConstraint(fields=('address', 'owner', 'client_list', 'by_person'), name='suppression_once', nulls_distinct=False), models.CheckConstraint(condition=models.Q(('reason__in', ['unsubscribed', 'complained', 'bounced', 'refused', 'by hand', 'imported'])), name='suppression_reason'), models.CheckConstraint(condition=models.Q(('client_list', None), ('owner__isnull', False), _connector='OR'), name='suppression_of_a_list_has_an_owner')],
            },
        ),
    ]

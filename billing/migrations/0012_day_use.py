
import django.db.models.deletion
from django.db import migrations, models


# What was captured before there were days of use; how it was made is not known any more.
FOLD = """
INSERT INTO billing_dayuse (day, organization_id, key_id, model, resolution, provider, jobs, billed_ms, micros, cost_micros)
SELECT (resolved_at AT TIME ZONE 'UTC')::date, organization_id, key_id, model, '', '',
       count(*), sum(billed_ms), sum(captured_micros), 0
FROM billing_hold WHERE status = 'captured' GROUP BY 1, 2, 3, 4
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_api_key_name'),
        ('billing', '0011_stripe_usage'),
    ]

    operations = [
        migrations.CreateModel(
            name='DayUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(help_text='In UTC.')),
                ('model', models.CharField(max_length=80)),
                ('resolution', models.CharField(blank=True, max_length=10)),
                ('provider', models.CharField(blank=True, max_length=32)),
                ('jobs', models.PositiveIntegerField()),
                ('billed_ms', models.BigIntegerField()),
                ('micros', models.BigIntegerField(help_text='What customers paid, in micro-dollars.')),
                ('cost_micros', models.BigIntegerField(help_text='What providers were paid, in micro-dollars.')),
                ('key', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.apikey')),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
            options={
                'verbose_name_plural': 'days of use',
                'indexes': [models.Index(fields=['day'], name='day_use_by_day')],
                'constraints': [models.UniqueConstraint(fields=('organization', 'day', 'key', 'model', 'resolution', 'provider'), name='day_use_once', nulls_distinct=False)],
            },
        ),
        migrations.RunSQL(FOLD, migrations.RunSQL.noop),
    ]

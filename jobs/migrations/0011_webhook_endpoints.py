"""Webhook endpoints, what is to be sent to them, and the log of every try."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import jobs.types
from django.db import migrations, models

KNOWN = """
UPDATE jobs_delivery SET
    type = 'job.' || (SELECT status FROM jobs_job WHERE jobs_job.id = job_id),
    lane = organization_id || ' ' || lower(left(substring(url FROM '^[a-zA-Z]+://[^/?#]*'), 280)),
    scheduled_at = created_at
"""
# A version 7 UUID as jobs.types.new_id makes it, for rows that one statement inserts beside their event: the time in
# ms over the first 48 bits of a random one, its version nibble turned from 4 to 7.
NEW_ID = """
CREATE FUNCTION jobs_new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid())
        PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6
    ), 52, 1), 53, 1), 'hex')::uuid
$$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_audit_append_only'),
        ('jobs', '0010_job_version'),
    ]

    operations = [
        migrations.CreateModel(
            name='DeliveryTry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('status', models.IntegerField(null=True)),
                ('answer', models.CharField(blank=True, max_length=1000)),
                ('duration_ms', models.PositiveIntegerField()),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='PlatformKey',
            fields=[
                ('kid', models.CharField(help_text='The RFC 7638 thumbprint.', max_length=43, primary_key=True, serialize=False)),
                ('sealed', models.TextField()),
                ('public', models.BinaryField(max_length=32)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('until', models.DateTimeField(help_text='Of a key that was replaced: it signs beside its successor.', null=True)),
            ],
        ),
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.UUIDField(default=jobs.types.new_id, primary_key=True, serialize=False)),
                ('url', models.CharField(max_length=2048)),
                ('description', models.CharField(blank=True, max_length=200)),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), help_text='Types as webhooks name them; * is every one.', size=None)),
                ('enabled', models.BooleanField(default=True)),
                ('sealed', models.TextField()),
                ('previous_sealed', models.TextField(blank=True)),
                ('previous_until', models.DateTimeField(null=True)),
                ('failing_since', models.DateTimeField(help_text='The first failure since the last success.', null=True)),
                ('disabled_at', models.DateTimeField(null=True)),
                ('disabled_reason', models.CharField(blank=True, choices=[('customer', 'Switched off by its owner'), ('gone', 'It answered 410'), ('failing', 'Nothing but failures for days')], max_length=16)),
                ('tell_at', models.DateTimeField(help_text='When its people are to be told that we disabled it.', null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('deleted_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='delivery',
            name='delivery_once',
        ),
        migrations.RemoveIndex(
            model_name='delivery',
            name='delivery_due',
        ),
        migrations.AddField(
            model_name='delivery',
            name='event',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='jobs.jobevent'),
        ),
        migrations.AddField(
            model_name='delivery',
            name='lane',
            field=models.CharField(default='', max_length=320),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='delivery',
            name='reason',
            field=models.CharField(blank=True, choices=[('tries_used_up', 'Tries'), ('gone', 'Gone'), ('endpoint_disabled', 'Disabled')], max_length=24),
        ),
        migrations.AddField(
            model_name='delivery',
            name='scheduled_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='When its schedule of tries began.'),
        ),
        migrations.AddField(
            model_name='delivery',
            name='type',
            field=models.CharField(default='', max_length=64),
            preserve_default=False,
        ),
        migrations.RunSQL(KNOWN, migrations.RunSQL.noop),
        migrations.RunSQL(NEW_ID, "DROP FUNCTION jobs_new_id()"),
        migrations.AlterField(
            model_name='delivery',
            name='job',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='jobs.job'),
        ),
        migrations.AddField(
            model_name='deliverytry',
            name='delivery',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='log', to='jobs.delivery'),
        ),
        migrations.AddConstraint(
            model_name='platformkey',
            constraint=models.UniqueConstraint(models.Value(1), condition=models.Q(('until', None)), name='platform_key_one'),
        ),
        migrations.AddField(
            model_name='webhookendpoint',
            name='organization',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='webhook_endpoints', to='accounts.organization'),
        ),
        migrations.AddField(
            model_name='delivery',
            name='endpoint',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='jobs.webhookendpoint'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('status', 'due')), fields=['lane', 'due_at'], name='delivery_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('status', 'due')), fields=['lane', 'job', 'event'], name='delivery_before'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('lease_until__isnull', False), ('status', 'due')), fields=['lane'], name='delivery_flying'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('status', 'due'), ('tries__gt', 0)), fields=['lane'], name='delivery_failed_before'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['endpoint', '-id'], name='delivery_of_endpoint'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('finished_at__isnull', False)), fields=['finished_at'], name='delivery_old'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.UniqueConstraint(condition=models.Q(('endpoint', None)), fields=('job', 'url'), name='delivery_once'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.UniqueConstraint(fields=('endpoint', 'event'), name='delivery_once_an_event'),
        ),
        migrations.AddIndex(
            model_name='webhookendpoint',
            index=models.Index(condition=models.Q(('tell_at__isnull', False)), fields=['tell_at'], name='endpoint_to_tell'),
        ),
        migrations.AddConstraint(
            model_name='webhookendpoint',
            constraint=models.CheckConstraint(condition=models.Q(('deleted_at', None), ('enabled', False), _connector='OR'), name='endpoint_deleted_is_off'),
        ),
    ]

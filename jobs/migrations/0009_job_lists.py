"""Indexes for the filters of lists, each in the order of the list: newest first. Tags get a table of their own for it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

TAGS = """
INSERT INTO jobs_jobtag (organization_id, tag, job_id)
SELECT DISTINCT organization_id, unnest(tags), id FROM jobs_job WHERE tags <> '{}'
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_key_chain'),
        ('jobs', '0008_provider_accounts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='JobTag',
            fields=[
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('tag', models.CharField(max_length=64)),
                ('job', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='marks', to='jobs.job')),
                ('pk', models.CompositePrimaryKey('organization', 'tag', 'job', blank=True, editable=False, primary_key=True, serialize=False)),
            ],
        ),
        migrations.AlterField(
            model_name='job',
            name='key',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='jobs', to='accounts.apikey'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['organization', 'status', '-id'], name='job_by_status'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['organization', 'model', '-id'], name='job_by_model'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['key', '-id'], name='job_by_key'),
        ),
        migrations.RunSQL(TAGS, migrations.RunSQL.noop),
    ]

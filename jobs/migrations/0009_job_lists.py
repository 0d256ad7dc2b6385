"""Indexes for the filters of lists, each in the order of the list: newest first.

Tags have an inverted index, which keeps no order and knows no tenants by itself: its entries begin with the
organization's id, so that a tag which somebody else uses a million times costs nobody else anything.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

MARKS = """
CREATE FUNCTION jobs_tag_marks(organization uuid, tags varchar[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN ARRAY(SELECT organization::text || ':' || tag FROM unnest(tags) AS tag);
"""
NO_MARKS = "DROP FUNCTION jobs_tag_marks(uuid, varchar[])"


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_audit_append_only'),
        ('jobs', '0008_provider_accounts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(MARKS, NO_MARKS),
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
        migrations.AddIndex(
            model_name='job',
            index=django.contrib.postgres.indexes.GinIndex(models.Func(models.F('organization'), models.F('tags'), function='jobs_tag_marks', output_field=django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)), condition=models.Q(('tags', []), _negated=True), name='job_by_tag'),
        ),
    ]

"""What jobs of before were billed for, for usage by seconds."""

from django.db import migrations

SQL = """
UPDATE billing_hold h SET billed_ms = j.billed_units * (j.quote ->> 'step_ms')::bigint
FROM jobs_job j WHERE j.id = h.job_id AND h.status = 'captured' AND j.billed_units IS NOT NULL AND j.quote ? 'step_ms'
"""


class Migration(migrations.Migration):
    dependencies = [("jobs", "0011_webhook_endpoints"), ("billing", "0010_billed_ms")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]

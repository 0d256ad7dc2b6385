"""A number on each job that grows with every change of its row, whoever makes it: copies of the row can be told apart."""

from django.db import migrations, models

SQL = """
CREATE FUNCTION jobs_job_next_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER jobs_job_version BEFORE UPDATE ON jobs_job
    FOR EACH ROW EXECUTE FUNCTION jobs_job_next_version();
"""
UNDO = "DROP TRIGGER jobs_job_version ON jobs_job; DROP FUNCTION jobs_job_next_version();"


class Migration(migrations.Migration):
    dependencies = [("jobs", "0009_job_lists")]
    operations = [
        migrations.AddField("job", "version", models.BigIntegerField(db_default=0, editable=False)),
        migrations.RunSQL(SQL, UNDO),
    ]

"""Events are never edited: feeds and streams replay them by id."""

from django.db import migrations

SQL = """
CREATE FUNCTION jobs_event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'job events are append-only';
END $$;
CREATE TRIGGER jobs_event_append_only BEFORE UPDATE ON jobs_jobevent
    FOR EACH ROW EXECUTE FUNCTION jobs_event_is_final();
"""
UNDO = "DROP TRIGGER jobs_event_append_only ON jobs_jobevent; DROP FUNCTION jobs_event_is_final();"


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial")]
    operations = [migrations.RunSQL(SQL, UNDO)]

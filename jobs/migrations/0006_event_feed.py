"""The transaction that wrote each event, so that a feed can be read without gaps.

Ids are drawn before their transaction commits: a reader that only remembers the highest id misses those that
commit late. Ordered by (transaction, id), and read only below every transaction still running, nothing is missed.
"""

from django.db import migrations

SQL = """
ALTER TABLE jobs_jobevent ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX event_feed ON jobs_jobevent (organization_id, xid, id);
"""
UNDO = "DROP INDEX event_feed; ALTER TABLE jobs_jobevent DROP COLUMN xid;"


class Migration(migrations.Migration):
    dependencies = [("jobs", "0005_addresses_and_hints")]
    operations = [migrations.RunSQL(SQL, UNDO)]

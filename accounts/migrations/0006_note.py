"""Notes of operators about an organization: written once, like the audit record."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION accounts_note_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'notes are append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER note_append_only BEFORE UPDATE OR DELETE ON accounts_note
    FOR EACH ROW EXECUTE FUNCTION accounts_note_append_only();
"""
BACKWARD = """
DROP TRIGGER note_append_only ON accounts_note;
DROP FUNCTION accounts_note_append_only();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_key_last_address'),
    ]

    operations = [
        migrations.CreateModel(
            name='Note',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.TextField(max_length=2000)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
            options={
                'indexes': [models.Index(fields=['organization', '-id'], name='note_by_organization')],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]

"""An organization that is to be erased has a day for it, and when a person or an organization is forgotten, the audit record
lets go of details, and of nothing else, and operators' notes may go.
"""

from django.db import migrations, models

FORWARD = """
CREATE OR REPLACE FUNCTION accounts_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('voicereel.forgetting', true) = 'on'
        AND (NEW.before IS NULL OR NEW.before = OLD.before) AND (NEW.after IS NULL OR NEW.after = OLD.after)
        AND NEW.address IS NULL
        AND (NEW.id, NEW.organization_id, NEW.actor_user_id, NEW.actor_key_id, NEW.action, NEW.target_type, NEW.target_id, NEW.created_at)
            IS NOT DISTINCT FROM
            (OLD.id, OLD.organization_id, OLD.actor_user_id, OLD.actor_key_id, OLD.action, OLD.target_type, OLD.target_id, OLD.created_at)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit record is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE OR REPLACE FUNCTION accounts_note_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('voicereel.forgetting', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'notes are append-only' USING ERRCODE = 'restrict_violation';
END $$;
"""
BACKWARD = """
CREATE OR REPLACE FUNCTION accounts_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit record is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE OR REPLACE FUNCTION accounts_note_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'notes are append-only' USING ERRCODE = 'restrict_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_settings_pages")]

    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.AddField("organization", "closing_at", models.DateTimeField(null=True, blank=True)),
    ]

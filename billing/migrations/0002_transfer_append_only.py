"""The books are append-only: the database itself refuses to change or remove a transfer."""

from django.db import migrations

UP = """
CREATE FUNCTION billing_transfer_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'billing_transfer is append-only: % refused. Correct a posting with another posting.', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER billing_transfer_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION billing_transfer_refuse();
"""
DOWN = """
DROP TRIGGER billing_transfer_append_only ON billing_transfer;
DROP FUNCTION billing_transfer_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [migrations.RunSQL(UP, DOWN)]

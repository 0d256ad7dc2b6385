"""A key that replaced another spends from the same cap: its spend is counted on the first key of the chain."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("billing.migrations.0006_place_hold").UP.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
CHAIN = """
CREATE FUNCTION billing_key_chain(of_key uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT coalesce(first_id, id) FROM accounts_apikey WHERE id = of_key
$$;
"""


def counted_on_the_first(functions):
    changes = {
        "s ON s.key_id = k.id": "s ON s.key_id = coalesce(k.first_id, k.id)",
        "VALUES (of_key, amount, 0)": "VALUES (billing_key_chain(of_key), amount, 0)",
    }
    for old, new in changes.items():
        assert functions.count(old) == 1, old
        functions = functions.replace(old, new)
    return functions


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_place_hold"), ("accounts", "0003_key_chain")]

    operations = [
        migrations.RunSQL(
            CHAIN + counted_on_the_first(BEFORE), BEFORE + "DROP FUNCTION billing_key_chain(uuid);"
        )
    ]

"""A look at a picture and a short preview on our own machines are free: a price of nothing, like any other price."""

from datetime import datetime, timezone

from django.db import migrations

SINCE = datetime(2026, 1, 1, tzinfo=timezone.utc)


def seed(apps, schema_editor):
    Price = apps.get_model("billing", "Price")
    free = {"micros_per_unit": 0, "min_units": 1, "valid_from": SINCE}
    Price.objects.bulk_create(
        [
            Price(model="portrait-preview", resolution="480p", unit="second", max_units=6, **free),
            Price(model="picture-check", resolution="", unit="image", max_units=1000, **free),
        ]
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0015_differences")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]

"""EMO by the second of video and its shape: the vendor's figures in yuan at the rate of its other models' prices."""

from datetime import datetime, timezone

from django.db import migrations

SINCE = datetime(2026, 1, 1, tzinfo=timezone.utc)
MICROS = {"1:1": 11_470, "3:4": 22_940}


def seed(apps, schema_editor):
    Price = apps.get_model("billing", "Price")
    Price.objects.bulk_create(
        Price(
            model="emo-v1",
            resolution=shape,
            micros_per_unit=micros,
            min_units=1,
            max_units=60,
            valid_from=SINCE,
        )
        for shape, micros in MICROS.items()
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_detector_prices")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]

"""A look at a picture costs the vendor's published figure, rounded to micro-dollars; the operator may edit it."""

from datetime import datetime, timezone

from django.db import migrations

SINCE = datetime(2026, 1, 1, tzinfo=timezone.utc)
MICROS = 574  # 0.000574 USD a picture


def seed(apps, schema_editor):
    Price = apps.get_model("billing", "Price")
    Price.objects.bulk_create(
        Price(
            model=model,
            resolution="",
            unit="image",
            micros_per_unit=MICROS,
            min_units=1,
            max_units=1000,
            valid_from=SINCE,
        )
        for model in ("wan-2.2-s2v-detect", "emo-detect")
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_tiers_and_prices")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]

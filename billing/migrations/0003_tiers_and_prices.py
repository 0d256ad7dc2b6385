"""The first price book and tiers: the vendors' published figures, which customers compare with.

They contain no margin of ours: that is the operator's to set in the console, where all of this can be edited.
"""

from datetime import datetime, timezone

from django.db import migrations

USD = 1_000_000

# slug, lifetime top-ups in USD, submits per minute, running, queued, reads per second
TIERS = [
    ("bronze", 0, 2, 2, 100, 50),
    ("silver", 100, 500, 300, 5_000, 100),
    ("gold", 1_000, 3_000, 3_000, 20_000, 300),
    ("ultra", 10_000, 5_000, 10_000, 50_000, 1_000),
]

# model, resolution, micro-dollars per second, shortest and longest billed seconds
PRICES = [
    ("wan-2.2-s2v", "480p", 30_000, 3, 600),
    ("wan-2.2-s2v", "720p", 60_000, 3, 600),
    ("wan-2.2-animate", "480p", 40_000, 5, 120),
    ("wan-2.2-animate", "720p", 80_000, 5, 120),
]

# A fixed day in the past: prices hold from the first second, whatever the clock of the machine that migrates.
SINCE = datetime(2026, 1, 1, tzinfo=timezone.utc)


def seed(apps, schema_editor):
    Tier = apps.get_model("billing", "Tier")
    Tier.objects.bulk_create(
        Tier(
            slug=slug,
            threshold_micros=threshold * USD,
            submits_per_minute=submits,
            running=running,
            queued=queued,
            reads_per_second=reads,
        )
        for slug, threshold, submits, running, queued, reads in TIERS
    )
    Price = apps.get_model("billing", "Price")
    Price.objects.bulk_create(
        Price(
            model=model,
            resolution=resolution,
            micros_per_unit=micros,
            min_units=shortest,
            max_units=longest,
            valid_from=SINCE,
        )
        for model, resolution, micros, shortest, longest in PRICES
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_transfer_append_only")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]

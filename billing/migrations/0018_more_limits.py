"""Requests a second and bytes kept of a whole organization; own limits that end. The figures of the tiers are ours: the
vendors publish none for these two.
"""

import django.core.validators
from django.db import migrations, models

GB = 1000**3
# slug, requests a second over all keys, gigabytes
TIERS = [("bronze", 100, 10), ("silver", 300, 100), ("gold", 1_000, 1_000), ("ultra", 3_000, 10_000)]


def seed(apps, schema_editor):
    Tier = apps.get_model("billing", "Tier")
    for slug, requests, gigabytes in TIERS:
        Tier.objects.filter(slug=slug).update(requests_per_second=requests, storage_bytes=gigabytes * GB)


class Migration(migrations.Migration):
    dependencies = [("billing", "0017_own_key_prices")]

    operations = [
        migrations.AddField(
            model_name="tier",
            name="requests_per_second",
            field=models.PositiveIntegerField(default=100, verbose_name="requests a second in all"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="tier",
            name="storage_bytes",
            field=models.BigIntegerField(
                default=10 * GB,
                validators=[django.core.validators.MinValueValidator(0)],
                verbose_name="bytes of kept files",
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="tier",
            name="reads_per_second",
            field=models.PositiveIntegerField(verbose_name="requests a second by one key"),
        ),
        migrations.AddField(
            model_name="limits",
            name="requests_per_second",
            field=models.PositiveIntegerField(
                blank=True, null=True, verbose_name="requests a second in all"
            ),
        ),
        migrations.AddField(
            model_name="limits",
            name="storage_bytes",
            field=models.BigIntegerField(
                blank=True,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
                verbose_name="bytes of kept files",
            ),
        ),
        migrations.AlterField(
            model_name="limits",
            name="reads_per_second",
            field=models.PositiveIntegerField(
                blank=True, null=True, verbose_name="requests a second by one key"
            ),
        ),
        migrations.AddField(
            model_name="limits",
            name="until",
            field=models.DateTimeField(
                blank=True,
                help_text="In UTC; blank: until they are changed. Budget and credit limit stay.",
                null=True,
                verbose_name="own limits hold until",
            ),
        ),
        migrations.RunPython(seed, migrations.RunPython.noop),
    ]

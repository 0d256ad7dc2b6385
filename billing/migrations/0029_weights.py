"""How often an organization gets a free place, beside the others that wait. The figures are ours."""

import django.core.validators
from django.db import migrations, models

TIERS = [("bronze", 1), ("silver", 2), ("gold", 4), ("ultra", 8)]


def seed(apps, schema_editor):
    Tier = apps.get_model("billing", "Tier")
    for slug, weight in TIERS:
        Tier.objects.filter(slug=slug).update(weight=weight)


class Migration(migrations.Migration):
    dependencies = [("billing", "0028_invoice_reversals")]

    operations = [
        migrations.AddField(
            model_name="tier",
            name="weight",
            field=models.PositiveIntegerField(
                default=1,
                help_text="Of free places an organization with 3 gets three for one of an organization with 1.",
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="weight among those that wait",
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="limits",
            name="weight",
            field=models.PositiveIntegerField(
                blank=True,
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="weight among those that wait",
            ),
        ),
        migrations.RunPython(seed, migrations.RunPython.noop),
    ]

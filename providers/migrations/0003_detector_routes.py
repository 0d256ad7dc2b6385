"""Pictures are looked at on our own machines."""

from django.db import migrations


def seed(apps, schema_editor):
    Route = apps.get_model("providers", "Route")
    for model in ("wan-2.2-s2v-detect", "emo-detect"):
        Route.objects.get_or_create(model=model, provider="local", organization=None)


class Migration(migrations.Migration):
    dependencies = [("providers", "0002_first_routes")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]

"""The free preview and the free look at a picture are made on our own machines, whatever routes the models have."""

from django.db import migrations

SETTINGS = {"engine": "talking_portrait", "queue": "cpu", "preview": True}


def seed(apps, schema_editor):
    Route = apps.get_model("providers", "Route")
    Route.objects.get_or_create(
        model="portrait-preview",
        provider="local",
        organization=None,
        # few at once: whoever pays comes first
        defaults={"settings": SETTINGS, "max_running": 2},
    )
    Route.objects.get_or_create(model="picture-check", provider="local", organization=None)


class Migration(migrations.Migration):
    dependencies = [("providers", "0007_circuit")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]

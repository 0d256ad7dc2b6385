"""The embedded default: speech to video on our own CPU workers. wan-2.2-animate has no route yet."""

from django.db import migrations


def seed(apps, schema_editor):
    Route = apps.get_model("providers", "Route")
    Route.objects.get_or_create(
        model="wan-2.2-s2v",
        provider="local",
        organization=None,
        defaults={"settings": {"engine": "talking_portrait", "queue": "cpu", "preview": True}, "max_running": 8},
    )


class Migration(migrations.Migration):
    dependencies = [("providers", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]

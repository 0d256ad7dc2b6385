"""EMO as a preview on our own CPU workers, until a route to the vendor is configured."""

from django.db import migrations


def seed(apps, schema_editor):
    apps.get_model("providers", "Route").objects.get_or_create(
        model="emo-v1",
        provider="local",
        organization=None,
        defaults={"settings": {"engine": "talking_portrait", "queue": "cpu", "preview": True}, "max_running": 8},
    )


class Migration(migrations.Migration):
    dependencies = [("providers", "0003_detector_routes")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]

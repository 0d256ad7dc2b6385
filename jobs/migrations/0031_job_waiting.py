"""Which organizations have a job that waits: asked each time a place is given."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0030_delivery_by_dialect")]

    operations = [
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("status", "queued")), fields=["organization", "id"], name="job_waiting"
            ),
        ),
    ]

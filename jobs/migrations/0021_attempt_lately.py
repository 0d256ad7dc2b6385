from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0020_room'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(condition=models.Q(('status', 'succeeded')), fields=['route_id', '-finished_at'], name='attempt_lately'),
        ),
    ]

"""Free units of each model, kept apart from the money: the hold takes what is left of them in the call that takes the rest."""

from importlib import import_module

import django.db.models.deletion
from django.db import migrations, models

FREE_LEFT = """
-- Thousandths of a model's free units that nobody of the organization has used or holds. Its own quota wins; one in
-- another unit than the price's is none.
CREATE FUNCTION billing_free_left(of_organization uuid, of_model text, of_unit text) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT CASE WHEN q.unit = of_unit THEN greatest(q.units::bigint * 1000 - coalesce(u.held + u.used, 0), 0) END
        FROM billing_freequota q
        LEFT JOIN billing_freeuse u ON u.organization_id = of_organization AND u.model = of_model
        WHERE q.model = of_model AND (q.organization_id = of_organization OR q.organization_id IS NULL)
        ORDER BY q.organization_id NULLS LAST LIMIT 1
    ), 0)
$$;
"""
PLACE_HOLD = """
-- Locks, takes what is free, decides, posts. `price` is what everything costs; without a unit nothing of it can be free.
-- No row comes back while the organization has no accounts; no hold_id where one was there already or a limit refuses:
-- then nothing was written.
CREATE FUNCTION billing_place_hold(
    of_organization uuid, of_job uuid, of_key uuid, of_model text, of_reference text, price bigint,
    of_unit text, unit_micros bigint, unit_takes bigint
) RETURNS TABLE (
    hold_id bigint, created_at timestamptz, free bigint, free_micros bigint,
    has_hold boolean, month date, funding text, spendable bigint,
    cap bigint, key_used bigint, budget bigint, month_used bigint, refusal text
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    available bigint;
    held bigint;
    amount bigint;
    units bigint := 0;
BEGIN
    -- NO KEY: the foreign keys of other tables may still be checked against the row while we hold it.
    SELECT a.id INTO available FROM billing_account a
    WHERE a.organization_id = of_organization AND a.kind = 'available' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- Statements of their own: in a volatile function each sees what was committed before it, not before the wait.
    IF of_unit IS NOT NULL THEN
        units := least(price / unit_micros, billing_free_left(of_organization, of_model, of_unit) / unit_takes);
    END IF;
    free := units * unit_takes;
    free_micros := units * unit_micros;
    amount := price - free_micros;
    SELECT f.has_hold, f.month, f.funding, f.spendable, f.cap, f.key_used, f.budget, f.month_used, f.refusal
    INTO has_hold, month, funding, spendable, cap, key_used, budget, month_used, refusal
    FROM billing_facts(of_organization, of_key, of_job, NULL, NULL, amount) f;
    IF refusal IS NULL AND NOT has_hold THEN
        INSERT INTO billing_hold AS h (job_id, organization_id, key_id, model, amount_micros, free, free_micros,
                                       captured_micros, status, funding, raises, month, created_at)
        VALUES (of_job, of_organization, of_key, of_model, amount, free, free_micros,
                0, 'open', funding, 0, month, now())
        RETURNING h.id, h.created_at INTO hold_id, created_at;
        IF free > 0 THEN
            INSERT INTO billing_freeuse AS u (organization_id, model, held, used)
            VALUES (of_organization, of_model, free, 0)
            ON CONFLICT (organization_id, model) DO UPDATE SET held = u.held + excluded.held;
        END IF;
        IF of_key IS NOT NULL THEN
            INSERT INTO billing_keyspend AS s (key_id, held_micros, spent_micros)
            VALUES (billing_key_chain(of_key), amount, 0)
            ON CONFLICT (key_id) DO UPDATE SET held_micros = s.held_micros + excluded.held_micros;
        END IF;
        INSERT INTO billing_monthspend AS s (organization_id, month, held_micros, spent_micros)
        VALUES (of_organization, month, amount, 0)
        ON CONFLICT (organization_id, month) DO UPDATE SET held_micros = s.held_micros + excluded.held_micros;
        IF amount > 0 THEN
            SELECT a.id INTO STRICT held FROM billing_account a
            WHERE a.organization_id = of_organization AND a.kind = 'held';
            INSERT INTO billing_transfer (reference, kind, debit_id, credit_id, amount_micros, hold_id, job_id,
                                          organization_id, key_id, note, actor, created_at)
            VALUES (of_reference, 'hold', available, held, amount, hold_id, of_job,
                    of_organization, of_key, '', '', now());
            UPDATE billing_account a
            SET balance_micros = a.balance_micros + CASE a.id WHEN held THEN amount ELSE -amount END
            WHERE a.id IN (available, held);
        END IF;
    END IF;
    RETURN NEXT;
END
$$;
"""
DROP_BEFORE = "DROP FUNCTION billing_place_hold(uuid, uuid, uuid, text, text, bigint);"
DROP = """
DROP FUNCTION billing_place_hold(uuid, uuid, uuid, text, text, bigint, text, bigint, bigint);
DROP FUNCTION billing_free_left(uuid, text, text);
"""
# As it was: 0007 replaces both functions of 0006, so it makes the dropped one anew.
BEFORE = import_module("billing.migrations.0007_key_chain")
PLACE_HOLD_BEFORE = BEFORE.counted_on_the_first(BEFORE.BEFORE)

# What the vendor gives of each of its models: 100 seconds of video, 200 pictures.
SECONDS = ("wan-2.2-s2v", "wan-2.2-animate", "emo-v1")
IMAGES = ("wan-2.2-s2v-detect", "emo-detect")


def seed(apps, schema_editor):
    FreeQuota = apps.get_model("billing", "FreeQuota")
    FreeQuota.objects.bulk_create(
        [FreeQuota(model=model, unit="second", units=100) for model in SECONDS]
        + [FreeQuota(model=model, unit="image", units=200) for model in IMAGES]
    )


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_key_last_address'),
        ('billing', '0022_use_by_route'),
    ]

    operations = [
        migrations.CreateModel(
            name='FreeQuota',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(help_text='As in the price book.', max_length=80)),
                ('unit', models.CharField(choices=[('second', 'Second'), ('image', 'Image')], default='second', max_length=10)),
                ('units', models.PositiveIntegerField(help_text='Once for each organization, new ones too. Zero: nothing of it is free.', verbose_name='free units')),
            ],
            options={
                'verbose_name_plural': 'free quotas',
            },
        ),
        migrations.CreateModel(
            name='FreeUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(max_length=80)),
                ('held', models.BigIntegerField(default=0)),
                ('used', models.BigIntegerField(default=0)),
            ],
            options={
                'verbose_name_plural': 'free use',
            },
        ),
        migrations.AddField(
            model_name='hold',
            name='free',
            field=models.BigIntegerField(db_default=0, default=0, verbose_name='thousandths of free units'),
        ),
        migrations.AddField(
            model_name='hold',
            name='free_micros',
            field=models.BigIntegerField(db_default=0, default=0, verbose_name='what those would have cost'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('free__gte', 0), ('free_micros__gte', 0)), name='hold_free_not_negative'),
        ),
        migrations.AddField(
            model_name='freequota',
            name='organization',
            field=models.ForeignKey(blank=True, help_text='Blank: everybody.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organization'),
        ),
        migrations.AddField(
            model_name='freeuse',
            name='organization',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization'),
        ),
        migrations.AddConstraint(
            model_name='freequota',
            constraint=models.UniqueConstraint(fields=('model', 'organization'), name='free_quota_once', nulls_distinct=False, violation_error_message='There is a quota of this model for the same; change that one.'),
        ),
        migrations.AddConstraint(
            model_name='freeuse',
            constraint=models.UniqueConstraint(fields=('organization', 'model'), name='free_use_once'),
        ),
        migrations.AddConstraint(
            model_name='freeuse',
            constraint=models.CheckConstraint(condition=models.Q(('held__gte', 0), ('used__gte', 0)), name='free_use_not_negative'),
        ),
        migrations.RunSQL(DROP_BEFORE + FREE_LEFT + PLACE_HOLD, DROP + PLACE_HOLD_BEFORE),
        migrations.RunPython(seed, migrations.RunPython.noop),
    ]

"""A hold in one call. PostgreSQL keeps the plans of a function; the same statements sent as text are planned each time,
while the organization's other requests wait for its lock.
"""

from django.db import migrations

UP = """
-- What decides a hold, and which limit refuses it if any: of several the customer's own first, the money last.
-- A hold that exists brings its funding and its month; for a new one they are null, and the database decides them.
CREATE FUNCTION billing_facts(
    of_organization uuid, of_key uuid, of_job uuid, of_funding text, of_month date, needed bigint
) RETURNS TABLE (
    has_hold boolean, month date, funding text, spendable bigint,
    cap bigint, key_used bigint, budget bigint, month_used bigint, refusal text
) LANGUAGE sql STABLE AS $$
    SELECT f.*, CASE
        WHEN needed <= 0 THEN NULL
        WHEN f.key_used + needed > f.cap THEN 'key_spend_cap'
        WHEN f.month_used + needed > f.budget THEN 'monthly_budget'
        WHEN needed > f.spendable THEN 'insufficient_funds'
    END
    FROM (
        SELECT h.id IS NOT NULL, o.month, o.funding,
               a.balance_micros + CASE o.funding WHEN 'postpaid' THEN coalesce(l.credit_limit_micros, 0) ELSE 0 END,
               k.spend_cap_micros, coalesce(s.held_micros + s.spent_micros, 0),
               l.monthly_budget_micros, coalesce(m.held_micros + m.spent_micros, 0)
        FROM (
            SELECT id, coalesce(of_funding, billing_mode) AS funding,
                   coalesce(of_month, date_trunc('month', now() AT TIME ZONE 'UTC')::date) AS month
            FROM accounts_organization WHERE id = of_organization
        ) o
        JOIN billing_account a ON a.organization_id = o.id AND a.kind = 'available'
        LEFT JOIN billing_limits l ON l.organization_id = o.id
        LEFT JOIN billing_monthspend m ON m.organization_id = o.id AND m.month = o.month
        LEFT JOIN accounts_apikey k ON k.id = of_key
        LEFT JOIN billing_keyspend s ON s.key_id = k.id
        LEFT JOIN billing_hold h ON h.job_id = of_job
    ) f (has_hold, month, funding, spendable, cap, key_used, budget, month_used)
$$;

-- Locks, decides, posts. No row comes back while the organization has no accounts; no hold_id where one was there
-- already or a limit refuses: then nothing was written.
CREATE FUNCTION billing_place_hold(
    of_organization uuid, of_job uuid, of_key uuid, of_model text, of_reference text, amount bigint
) RETURNS TABLE (
    hold_id bigint, created_at timestamptz, has_hold boolean, month date, funding text, spendable bigint,
    cap bigint, key_used bigint, budget bigint, month_used bigint, refusal text
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    available bigint;
    held bigint;
BEGIN
    -- NO KEY: the foreign keys of other tables may still be checked against the row while we hold it.
    SELECT a.id INTO available FROM billing_account a
    WHERE a.organization_id = of_organization AND a.kind = 'available' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- A statement of its own: in a volatile function each sees what was committed before it, not before the wait.
    SELECT f.has_hold, f.month, f.funding, f.spendable, f.cap, f.key_used, f.budget, f.month_used, f.refusal
    INTO has_hold, month, funding, spendable, cap, key_used, budget, month_used, refusal
    FROM billing_facts(of_organization, of_key, of_job, NULL, NULL, amount) f;
    IF refusal IS NULL AND NOT has_hold THEN
        INSERT INTO billing_hold AS h (job_id, organization_id, key_id, model, amount_micros, captured_micros,
                                       status, funding, raises, month, created_at)
        VALUES (of_job, of_organization, of_key, of_model, amount, 0, 'open', funding, 0, month, now())
        RETURNING h.id, h.created_at INTO hold_id, created_at;
        IF of_key IS NOT NULL THEN
            INSERT INTO billing_keyspend AS s (key_id, held_micros, spent_micros) VALUES (of_key, amount, 0)
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
DOWN = """
DROP FUNCTION billing_place_hold(uuid, uuid, uuid, text, text, bigint);
DROP FUNCTION billing_facts(uuid, uuid, uuid, text, date, bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_emo_prices")]

    operations = [migrations.RunSQL(UP, DOWN)]

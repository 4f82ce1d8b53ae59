-- One row per order, for lists and searches: kept up to date in the commits that change what
-- it shows. `stage` is `live` while a job of the order waits or is worked on, else how its
-- last job ended.
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY,
    number TEXT,
    account TEXT,
    whmcs_order INTEGER,
    stage TEXT NOT NULL,
    code TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL,
    handled_by TEXT,
    handled_why TEXT,
    handled_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO orders (order_id, whmcs_order, stage, code, attempts, updated_at)
SELECT order_id,
    (SELECT CASE kind WHEN 'placed' THEN json_extract(body, '$.order') END FROM fact
     WHERE fact.order_id = known.order_id AND kind IN ('placed', 'forgotten')
     ORDER BY seq DESC LIMIT 1),
    coalesce(
        (SELECT 'live' FROM job
         WHERE job.order_id = known.order_id AND state IN ('queued', 'leased') LIMIT 1),
        (SELECT state FROM job WHERE job.order_id = known.order_id ORDER BY seq DESC LIMIT 1),
        'succeeded'),
    (SELECT CASE kind WHEN 'refused' THEN json_extract(body, '$.code') END FROM fact
     WHERE fact.order_id = known.order_id AND kind IN ('checked', 'refused')
     ORDER BY seq DESC LIMIT 1),
    (SELECT count(*) FROM fact WHERE fact.order_id = known.order_id AND kind = 'checked'),
    coalesce(
        (SELECT max(coalesce(ended_at, enqueued_at)) FROM job
         WHERE job.order_id = known.order_id),
        (SELECT max(at) FROM fact WHERE fact.order_id = known.order_id))
FROM (SELECT order_id FROM job UNION SELECT order_id FROM fact) AS known;
CREATE INDEX orders_newest ON orders (updated_at, order_id);
CREATE INDEX orders_at_stage ON orders (stage, updated_at, order_id);
CREATE INDEX orders_refused ON orders (code, updated_at, order_id) WHERE code IS NOT NULL;
CREATE INDEX orders_numbered ON orders (number) WHERE number IS NOT NULL;
CREATE INDEX orders_of_account ON orders (account) WHERE account IS NOT NULL;
CREATE INDEX orders_in_whmcs ON orders (whmcs_order) WHERE whmcs_order IS NOT NULL;

CREATE TABLE pause (
    what TEXT PRIMARY KEY,
    who TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per order, for lists and searches: kept up to date in the commits that change what
-- it shows. `stage` is `live` while a job of the order waits or is worked on, else how its
-- last job ended.
CREATE TABLE orders (
    order_id text COLLATE "C" PRIMARY KEY,
    number text COLLATE "C",
    account text COLLATE "C",
    whmcs_order bigint,
    stage text NOT NULL,
    code text,
    attempts bigint NOT NULL DEFAULT 0,
    updated_at bigint NOT NULL,
    handled_by text,
    handled_why text,
    handled_at bigint
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.0,
    autovacuum_analyze_threshold = 20000
);
INSERT INTO orders (order_id, whmcs_order, stage, code, attempts, updated_at)
SELECT order_id,
    (SELECT CASE kind WHEN 'placed' THEN (body::json->>'order')::bigint END FROM fact
     WHERE fact.order_id = known.order_id AND kind IN ('placed', 'forgotten')
     ORDER BY seq DESC LIMIT 1),
    coalesce(
        (SELECT 'live' FROM job
         WHERE job.order_id = known.order_id AND state IN ('queued', 'leased') LIMIT 1),
        (SELECT state FROM job WHERE job.order_id = known.order_id ORDER BY seq DESC LIMIT 1),
        'succeeded'),
    (SELECT CASE kind WHEN 'refused' THEN body::json->>'code' END FROM fact
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
    what text COLLATE "C" PRIMARY KEY,
    who text NOT NULL,
    reason text NOT NULL,
    since bigint NOT NULL
);

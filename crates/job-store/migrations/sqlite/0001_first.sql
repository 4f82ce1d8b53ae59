-- Times are milliseconds since the Unix epoch, UTC.
CREATE TABLE job (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    source TEXT NOT NULL,
    event_id TEXT,
    idem_key TEXT,
    correlation TEXT NOT NULL,
    requested_by TEXT,
    requested_at INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    due_at INTEGER NOT NULL,
    fence TEXT,
    lease_until INTEGER,
    deferrals INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    ended_at INTEGER
) STRICT;
-- Finished jobs stay out of the claim's way however many there are.
CREATE INDEX job_queued ON job (due_at, seq) WHERE state = 'queued';
CREATE INDEX job_leased ON job (lease_until) WHERE state = 'leased';
CREATE UNIQUE INDEX job_one_lease_per_order ON job (order_id) WHERE state = 'leased';
CREATE INDEX job_live ON job (order_id, seq) WHERE state IN ('queued', 'leased');
CREATE INDEX job_of_order ON job (order_id, seq);

CREATE TABLE fact (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    marked INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX fact_of_order ON fact (order_id, seq);
CREATE INDEX fact_marked ON fact (marked) WHERE marked = 1;

CREATE TABLE inbox (
    channel TEXT NOT NULL,
    event_id TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (channel, event_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE stream (
    channel TEXT PRIMARY KEY,
    replay_id BLOB,
    committed_at INTEGER,
    last_event_at INTEGER,
    owner TEXT,
    epoch INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE dead_letter (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    event_id TEXT NOT NULL,
    replay_id BLOB,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    schema_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    closed_at INTEGER
) STRICT;
CREATE INDEX dead_letter_open ON dead_letter (seq) WHERE closed_at IS NULL;

CREATE TABLE gap (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    from_at INTEGER,
    until_at INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

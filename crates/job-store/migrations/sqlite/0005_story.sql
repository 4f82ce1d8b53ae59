-- What a job's calls to the outside took and how they came out, for the order's timeline. Written in
-- the commits of what followed them, numbered from 1 within the job, the newest 200 kept.
CREATE TABLE outside_call (
    order_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    took INTEGER NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (order_id, job_id, number)
) STRICT, WITHOUT ROWID;

-- A dead letter that a person wants driven again waits for whoever leads its channel. `fields` is
-- what could be decoded of it, as JSON.
ALTER TABLE dead_letter ADD COLUMN asked_at INTEGER;
ALTER TABLE dead_letter ADD COLUMN fields TEXT;
CREATE INDEX dead_letter_asked ON dead_letter (channel, seq)
    WHERE asked_at IS NOT NULL AND closed_at IS NULL;

-- Where a channel's position was, and who moved it or led.
CREATE TABLE cursor_mark (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    replay_id BLOB,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX cursor_mark_of_channel ON cursor_mark (channel, seq);
CREATE INDEX cursor_mark_sampled ON cursor_mark (channel, at) WHERE kind = 'sampled';

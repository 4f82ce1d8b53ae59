-- What the processes say of themselves; conditions and settings are JSON.
CREATE TABLE process (
    id text COLLATE "C" PRIMARY KEY,
    role text NOT NULL,
    version text NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    conditions text NOT NULL,
    settings text NOT NULL
);

-- One row per rule: the present episode, or the last one.
CREATE TABLE alert (
    name text COLLATE "C" PRIMARY KEY,
    severity text NOT NULL,
    summary text NOT NULL,
    description text NOT NULL,
    pending_since bigint,
    firing_since bigint,
    resolved_at bigint,
    told text NOT NULL
);

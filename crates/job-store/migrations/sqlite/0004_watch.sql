-- What the processes say of themselves; conditions and settings are JSON.
CREATE TABLE process (
    id TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    version TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    conditions TEXT NOT NULL,
    settings TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per rule: the present episode, or the last one.
CREATE TABLE alert (
    name TEXT PRIMARY KEY,
    severity TEXT NOT NULL,
    summary TEXT NOT NULL,
    description TEXT NOT NULL,
    pending_since INTEGER,
    firing_since INTEGER,
    resolved_at INTEGER,
    told TEXT NOT NULL
) STRICT, WITHOUT ROWID;

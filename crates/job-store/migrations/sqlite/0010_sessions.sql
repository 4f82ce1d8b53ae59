-- Sessions of operators in the console. The session id itself is not stored.
CREATE TABLE operator_session (
    digest TEXT PRIMARY KEY,
    token_fingerprint TEXT NOT NULL,
    operator TEXT NOT NULL,
    may_command INTEGER NOT NULL,
    peer TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

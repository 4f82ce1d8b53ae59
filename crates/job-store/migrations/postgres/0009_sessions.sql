-- Sessions of operators in the console. The session id itself is not stored.
CREATE TABLE operator_session (
    digest text COLLATE "C" PRIMARY KEY,
    token_fingerprint text NOT NULL,
    operator text NOT NULL,
    may_command bigint NOT NULL,
    peer text NOT NULL,
    opened_at bigint NOT NULL,
    expires_at bigint NOT NULL
);

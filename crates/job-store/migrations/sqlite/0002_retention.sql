-- So that forgetting what is old need not read everything that is not.
CREATE INDEX job_ended ON job (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX inbox_received ON inbox (received_at);

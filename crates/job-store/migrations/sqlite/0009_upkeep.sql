-- Why a job that could not be read was set aside.
ALTER TABLE job ADD COLUMN set_aside TEXT;
CREATE INDEX job_set_aside ON job (ended_at) WHERE set_aside IS NOT NULL;

-- How many jobs ended in which state. Written by triggers, so that nothing that ends or forgets
-- a job can miss it; not copied, since copying fires them too.
CREATE TABLE ended_jobs (state TEXT PRIMARY KEY, jobs INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO ended_jobs (state, jobs)
SELECT state, count(*) FROM job WHERE state NOT IN ('queued', 'leased') GROUP BY state;
CREATE TRIGGER job_ended AFTER UPDATE OF state ON job
WHEN OLD.state IN ('queued', 'leased') AND NEW.state NOT IN ('queued', 'leased')
BEGIN
    INSERT INTO ended_jobs (state, jobs) VALUES (NEW.state, 1)
    ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER jobs_added AFTER INSERT ON job WHEN NEW.state NOT IN ('queued', 'leased')
BEGIN
    INSERT INTO ended_jobs (state, jobs) VALUES (NEW.state, 1)
    ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER jobs_gone AFTER DELETE ON job WHEN OLD.state NOT IN ('queued', 'leased')
BEGIN
    UPDATE ended_jobs SET jobs = jobs - 1 WHERE state = OLD.state;
END;

CREATE INDEX dead_letter_closed ON dead_letter (closed_at) WHERE closed_at IS NOT NULL;

-- The newest evidence of either kind, in a form that SQLite sees to be asked for too.
CREATE INDEX fact_marker_kept ON fact (seq) WHERE marked = 1;
CREATE INDEX fact_marker_lost ON fact (seq) WHERE marked = 2;
DROP INDEX fact_marker;

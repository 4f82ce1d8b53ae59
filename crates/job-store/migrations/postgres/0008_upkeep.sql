-- Why a job that could not be read was set aside.
ALTER TABLE job ADD COLUMN set_aside text;
CREATE INDEX job_set_aside ON job (ended_at) WHERE set_aside IS NOT NULL;

-- How many jobs ended in which state, as the sum of rows: a row to be counted up would be locked
-- by everyone who ends a job. Pruning adds the rows together. Written by triggers, so that
-- nothing that ends or forgets a job can miss it; not copied, since copying fires them too.
CREATE TABLE ended_jobs (state text COLLATE "C" NOT NULL, jobs bigint NOT NULL);
INSERT INTO ended_jobs (state, jobs)
SELECT state, count(*) FROM job WHERE state NOT IN ('queued', 'leased') GROUP BY state;
CREATE FUNCTION orderbridge_job_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ended_jobs (state, jobs) VALUES (NEW.state, 1);
    RETURN NULL;
END $$;
CREATE TRIGGER job_ended AFTER UPDATE OF state ON job FOR EACH ROW
    WHEN (OLD.state IN ('queued', 'leased') AND NEW.state NOT IN ('queued', 'leased'))
    EXECUTE FUNCTION orderbridge_job_ended();
CREATE FUNCTION orderbridge_jobs_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ended_jobs (state, jobs)
    SELECT state, count(*) FROM added WHERE state NOT IN ('queued', 'leased') GROUP BY state;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_added AFTER INSERT ON job REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION orderbridge_jobs_added();
CREATE FUNCTION orderbridge_jobs_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ended_jobs (state, jobs)
    SELECT state, -count(*) FROM gone WHERE state NOT IN ('queued', 'leased') GROUP BY state;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_gone AFTER DELETE ON job REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION orderbridge_jobs_gone();

CREATE INDEX dead_letter_closed ON dead_letter (closed_at) WHERE closed_at IS NOT NULL;

-- The newest evidence of either kind, in a form that SQLite sees to be asked for too.
CREATE INDEX fact_marker_kept ON fact (seq) WHERE marked = 1;
CREATE INDEX fact_marker_lost ON fact (seq) WHERE marked = 2;
DROP INDEX fact_marker;

-- What was called lately and how it came out, for an alert about the share of errors.
CREATE INDEX outside_call_at ON outside_call (at, action, outcome);

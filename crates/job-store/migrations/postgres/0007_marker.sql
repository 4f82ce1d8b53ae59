-- The newest evidence of whether WHMCS keeps our marker decides. `marked` is 1 for an order
-- that kept it and 2 for one that lost it.
CREATE INDEX fact_marker ON fact (seq) WHERE marked > 0;
DROP INDEX fact_marked;

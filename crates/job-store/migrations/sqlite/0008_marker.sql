-- Which orders show that WHMCS keeps our marker: `marked` is 1 for an order that kept it and 2
-- for one that lost it.
CREATE INDEX fact_marker ON fact (marked, seq) WHERE marked > 0;
DROP INDEX fact_marked;

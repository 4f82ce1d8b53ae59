//! Claims jobs, provisions them in WHMCS, reports to Salesforce.

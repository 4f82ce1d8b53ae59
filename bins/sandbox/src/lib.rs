//! Simulated Salesforce and WHMCS on local ports.

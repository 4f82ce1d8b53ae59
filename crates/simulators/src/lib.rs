//! One faithful, fault-injecting network stand-in each for Salesforce and WHMCS.

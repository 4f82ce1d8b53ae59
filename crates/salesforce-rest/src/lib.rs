//! The Salesforce orders: read, guard, report (REST).

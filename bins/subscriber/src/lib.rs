//! Follows the Salesforce channel and turns every event into a job.

//! The event source: Salesforce Pub/Sub API over gRPC, Avro payloads.

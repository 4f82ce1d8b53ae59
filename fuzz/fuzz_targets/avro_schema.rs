#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| salesforce_pubsub::fuzzing::schema_and_payload(bytes));

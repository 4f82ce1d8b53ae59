#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| salesforce_rest::fuzzing::query_results(bytes));

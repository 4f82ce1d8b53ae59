#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portal_web::fuzzing::key_set(bytes));

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| settings::fuzzing::value(bytes));

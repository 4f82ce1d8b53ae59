#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    simulators::fuzzing::php(bytes);
    // What we serialise, PHP reads back.
    let text = String::from_utf8_lossy(bytes);
    let encoded = whmcs::fuzzing::serialised_map(&text);
    assert_eq!(simulators::fuzzing::map_entry(&encoded), Some(text.into_owned()));
});

//! What the formatter accepts, it leaves alone the second time.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(formatted) = buildit::config::format("fuzz.kdl", text) {
        let again = buildit::config::format("fuzz.kdl", &formatted).expect("what was formatted can be formatted");
        assert_eq!(formatted, again);
    }
});

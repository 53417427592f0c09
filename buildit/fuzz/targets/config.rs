//! No text makes the KDL loader panic, hang or grow without bound.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    drop(buildit::config::parse("fuzz.kdl", text, &buildit::config::Options::default()));
});

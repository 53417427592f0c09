//! No file of outputs makes its reader panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(buildit_executors::workspace::parse_outputs(bytes));
});

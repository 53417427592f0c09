//! No archive writes outside its folder, makes a device, or grows without bound.
#![no_main]

use buildit_executors::workspace::{Limits, unpack};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let outer = tempfile::tempdir().expect("a temporary folder");
    let root = outer.path().join("root");
    std::fs::create_dir(&root).expect("the folder is ours");
    drop(unpack(bytes, &root, Limits::strict()));
    assert_eq!(std::fs::read_dir(outer.path()).expect("the folder is ours").count(), 1);
});

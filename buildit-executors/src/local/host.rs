//! Which machine this is, and since when it runs.

use std::fs;
use std::hash::{BuildHasher, RandomState};

/// The machine and its boot, in one word: processes of another one are gone, or none of ours to touch.
pub(super) fn boot() -> String {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let machine = match read("/etc/machine-id") {
        id if id.is_empty() => read("/proc/sys/kernel/hostname"),
        id => id,
    };
    format!("{machine}/{}", read("/proc/sys/kernel/random/boot_id")).replace([' ', '\n'], "_")
}

/// Digits that no other engine comes to at the same time.
pub(super) fn unique() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

//! A small file system of a world's own, which is filled to the last byte.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stores;

/// Much more than a run needs, and filled in a moment.
const SIZE: &str = "size=16m,mode=0700";

/// A tmpfs in the place of the folder that a world's store is in. It goes with this.
#[derive(Debug)]
pub(crate) struct Disk(PathBuf);

impl Disk {
    pub(crate) fn mount(world: &Path) -> Self {
        let place = stores::kept(world);
        fs::create_dir_all(&place).expect("the folder is ours");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "none"]).arg(&place).status();
        assert!(mounted.expect("there is a mount command").success(), "only root mounts a tmpfs");
        Self(place)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever has a file there open keeps the file, and not the place.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Leaves no page. What is left of the last page of a file that is there can still be written.
pub(crate) fn fill(world: &Path) {
    let mut filler = File::create(filler(world)).expect("a file without content takes no space");
    for size in [1 << 16, 512] {
        let piece = vec![0; size];
        while filler.write_all(&piece).is_ok() {}
    }
}

/// Gives the space back.
pub(crate) fn empty(world: &Path) {
    fs::remove_file(filler(world)).expect("it is there");
}

fn filler(world: &Path) -> PathBuf {
    stores::kept(world).join("filler")
}

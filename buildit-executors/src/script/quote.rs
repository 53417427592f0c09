//! Words of a shell.

use std::path::Path;

/// The text as one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The path as one word of a shell.
pub(crate) fn quoted_path(path: &Path) -> Vec<u8> {
    let parts: Vec<&[u8]> = path.as_os_str().as_encoded_bytes().split(|&byte| byte == b'\'').collect();
    [b"'", &*parts.join(&br"'\''"[..]), b"'"].concat()
}

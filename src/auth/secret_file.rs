//! Files that hold secrets, which must be their owner's alone.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// A file as it was read.
#[derive(Debug)]
pub struct SecretFile {
    /// What is in it.
    pub text: String,
    /// Its permissions, if others may read or write it.
    pub exposed: Option<u32>,
}

/// Reads a file that may hold secrets.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> io::Result<SecretFile> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mode = meta.mode() & 0o777;
    let exposed = is_exposed(mode, meta.uid(), rustix::process::geteuid().as_raw());
    Ok(SecretFile { text, exposed: exposed.then_some(mode) })
}

/// Whether `us` should not trust a file of `owner` with secrets. The group may read one that is root's
/// if we are somebody else: how else should we? systemd hands credentials over so (0440, where it is an
/// access list that lets us read them).
fn is_exposed(mode: u32, owner: u32, us: u32) -> bool {
    let is_shared_with_us = owner == 0 && us != 0;
    mode & if is_shared_with_us { 0o026 } else { 0o066 } != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Configured;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn only_the_owner_writes_and_only_roots_file_may_be_read_by_a_group() {
        let (root, us, other) = (0, 64_000, 64_001);
        for (owner, reader) in [(us, us), (root, root), (root, us), (other, us), (us, root)] {
            for fine in [0o600, 0o400, 0o700, 0o711] {
                assert!(!is_exposed(fine, owner, reader), "{fine:o} {owner} {reader}");
            }
            for bad in [0o604, 0o602, 0o620, 0o622, 0o644, 0o444, 0o660, 0o666] {
                assert!(is_exposed(bad, owner, reader), "{bad:o} {owner} {reader}");
            }
            for shared in [0o440, 0o640] {
                let fine = (owner, reader) == (root, us);
                assert_eq!(is_exposed(shared, owner, reader), !fine, "{shared:o} {owner} {reader}");
            }
        }
    }

    #[test]
    fn a_file_of_tokens_must_be_its_owners_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "ci:hunter2\n").unwrap();
        for (mode, fine) in [(0o600, true), (0o644, false), (0o622, false), (0o602, false)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let read = Configured::read_file(file.path()).map_err(|error| error.to_string());
            assert_eq!(read.is_ok(), fine, "{read:?}");
            assert!(fine || read.unwrap_err().contains("chmod 600"));
        }
    }
}

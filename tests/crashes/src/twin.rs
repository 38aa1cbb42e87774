//! Servers that are built anew from a copy of these sources: broken on purpose, or so that their clocks
//! can be told another time.

use crate::{Outcome, lab::run};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// One change of the sources, which must apply exactly once.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// In which file.
    pub file: &'static str,
    /// What is there.
    pub from: &'static str,
    /// What comes in its place.
    pub to: &'static str,
}

/// What is built.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    /// What it is called.
    pub name: &'static str,
    /// What is changed.
    pub edits: &'static [Edit],
    /// Whether it reads the clocks by way of the C library, which can be told another time. The shipped
    /// server asks the kernel itself.
    pub libc: bool,
}

/// The server as it is, but for the way it reads the clocks.
pub const SHIFTED: Twin = Twin { name: "shifted", edits: &[], libc: true };

/// What of the repository goes into the server.
const SOURCES: [&str; 8] =
    ["Cargo.toml", "Cargo.lock", "schema.sql", "src", "actors", "loom-tests", "tests", "benches"];

impl Twin {
    /// Builds it, below `target`.
    ///
    /// # Errors
    /// An edit does not apply exactly once, or what comes of it does not compile.
    pub fn build(&self, target: &Path) -> Outcome<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (twins, sources) = (target.join("twins"), target.join("twins/sources"));
        fs::create_dir_all(&sources)?;
        for source in SOURCES {
            self.copy(&root, &sources, Path::new(source))?;
        }
        let build = twins.join(if self.libc { "libc" } else { "plain" });
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(&sources)
            .args(["build", "--quiet", "--bin", "octostore", "--target-dir"])
            .arg(&build);
        if self.libc {
            cargo.env("RUSTFLAGS", "--cfg rustix_use_libc");
        }
        run(&mut cargo)?;
        let built = twins.join(self.name);
        fs::copy(build.join("debug/octostore"), &built)?;
        Ok(built)
    }
}

impl Twin {
    /// Copies `path`, and what is in it, with the edits that it takes. Only what is not there already is
    /// written, so that only what differs is built again.
    fn copy(&self, root: &Path, sources: &Path, path: &Path) -> Outcome<()> {
        let (from, to) = (root.join(path), sources.join(path));
        if from.is_dir() {
            fs::create_dir_all(&to)?;
            for entry in fs::read_dir(&from)?.flatten() {
                if entry.file_name() != "target" {
                    self.copy(root, sources, &path.join(entry.file_name()))?;
                }
            }
            return Ok(());
        }
        let mut bytes = fs::read(&from)?;
        for edit in self.edits.iter().filter(|edit| Path::new(edit.file) == path) {
            bytes = edit.applied(String::from_utf8(bytes)?)?.into_bytes();
        }
        if fs::read(&to).ok().as_ref() != Some(&bytes) {
            fs::write(to, bytes)?;
        }
        Ok(())
    }
}

impl Edit {
    fn applied(&self, text: String) -> Outcome<String> {
        let Self { file, from, to } = self;
        match text.matches(from).count() {
            1 => Ok(text.replace(from, to)),
            count => Err(format!("{file} has {count} places with {from:?}: mend this edit").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::controls::TWINS;

    #[test]
    fn every_edit_applies_to_the_sources_as_they_are() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for edit in TWINS.iter().flat_map(|twin| twin.edits) {
            let text = fs::read_to_string(root.join(edit.file)).unwrap();
            assert_ne!(edit.applied(text.clone()).unwrap(), text);
        }
    }
}

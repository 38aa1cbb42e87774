//! Where attacks take place: a folder that goes away, the programs they need, and a name space of
//! mounts and processes of their own, so that nothing is left behind whatever ends them.

use crate::Outcome;
use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
};
use tempfile::TempDir;

/// Says that a process is in the name space already.
const INSIDE: &str = "OCTOSTORE_CRASHES_INSIDE";

/// What every attack needs.
#[derive(Debug)]
pub struct Lab {
    /// The program that is attacked.
    pub server: PathBuf,
    /// What chance begins with.
    pub seed: u64,
    scratch: TempDir,
}

impl Lab {
    /// A lab for attacks on `server`.
    ///
    /// # Errors
    /// There is no such program, or no room for a folder.
    pub fn new(server: &Path, seed: u64) -> Outcome<Self> {
        let server =
            server.canonicalize().map_err(|error| format!("{}: {error}", server.display()))?;
        Ok(Self { server, seed, scratch: TempDir::with_prefix("octostore-crashes-")? })
    }

    /// A new folder of that name.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.scratch.path().join(name);
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// The same lab, for attacks on another program.
    ///
    /// # Errors
    /// See [`Lab::new`].
    pub fn of(&self, server: &Path) -> Outcome<Self> {
        Self::new(server, self.seed)
    }
}

/// Runs this program again in a name space of its own, where it may mount what it likes, and where
/// everything ends when it ends. `None` if this is it already, or there can be none.
///
/// # Errors
/// It cannot be waited for.
pub fn isolated() -> Outcome<Option<ExitCode>> {
    if std::env::var_os(INSIDE).is_some() || !may_mount() {
        return Ok(None);
    }
    // If somebody ends this process, the kernel ends `unshare`, which ends all that is inside.
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--kill-child"])
        .args(NAMESPACES)
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()?;
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    Ok(Some(ExitCode::from(u8::try_from(code).unwrap_or(1))))
}

const NAMESPACES: [&str; 6] =
    ["--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc"];

/// Whether this process may mount: it is in its name space, or could be.
pub fn may_mount() -> bool {
    std::env::var_os(INSIDE).is_some()
        || run(Command::new("unshare").args(NAMESPACES).arg("true")).is_ok()
}

/// Whether there is such a program.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a command to its end.
///
/// # Errors
/// It fails.
pub fn run(command: &mut Command) -> Outcome<Output> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{command:?}: {}: {}", output.status, said.trim()).into())
}

/// Where a library is that a program preloads: what `program` sets when it runs another one.
///
/// # Errors
/// There is no such program, or it preloads nothing.
pub fn preloaded_by(program: &str, arguments: &[&str]) -> Outcome<OsString> {
    if !has(program) {
        return Err(
            format!("{program} is missing; to install it: apt-get install {program}").into()
        );
    }
    let output = run(Command::new(program).args(arguments).args(["printenv", "LD_PRELOAD"]))?;
    let path = String::from_utf8(output.stdout)?;
    Ok(path.trim().trim_start_matches(':').into())
}

//! The power goes in the moment in which a command has said what it made: all of it must be there.

use super::power;
use crate::{
    Outcome,
    disk::Disk,
    lab::{Lab, run},
    report::Report,
    server::Host,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const PROMISES: &str = "Durability";

const ATTACK: &str = "power cut after a backup, a restore, an export, an import and a first start";

/// Cuts the power after each of them.
///
/// # Errors
/// It cannot be tried.
pub fn run_all(lab: &Lab) -> Outcome<Report> {
    let disk = match power::disk(lab, "copies") {
        Ok(disk) => disk,
        Err(why) => return Ok(Report::skipped(PROMISES, ATTACK, why.to_string())),
    };
    let copies = Copies { lab, disk: &disk };
    let failures = copies.run().err().map(|error| error.to_string());
    Ok(Report::new(PROMISES, ATTACK, "5 power cuts".to_owned(), failures.into_iter().collect()))
}

struct Copies<'a> {
    lab: &'a Lab,
    disk: &'a Disk,
}

impl Copies<'_> {
    /// Each goes on with what the one before it has made.
    fn run(&self) -> Outcome<()> {
        let database = self.first_start()?;
        let backup = self.disk.path().join("backup");
        self.made_and_kept("backup", &backup, &database)?;
        let restored = self.folder("restored")?.join("octostore.db");
        self.made_and_kept("restore", &backup, &restored)?;
        let exported = self.disk.path().join("export");
        self.made_and_kept("export", &exported, &restored)?;
        let imported = self.folder("imported")?.join("octostore.db");
        self.made_and_kept("import", &exported, &imported)
    }

    /// A first start puts the token of its account down before it serves.
    fn first_start(&self) -> Outcome<PathBuf> {
        let folder = self.folder("first")?;
        let host = Host::new(&self.lab.server, &folder).variable("STATIC_TOKENS", "");
        let server = host.start()?;
        let token = fs::read(host.beside(".admin-token"))?;
        self.disk.cut_after(Duration::ZERO)?;
        server.kill()?;
        server.exit()?;
        self.disk.restore()?;
        let kept = fs::read(host.beside(".admin-token")).unwrap_or_default();
        if token.is_empty() || kept != token {
            return Err("a first start has served, and the token that it made is lost".into());
        }
        Ok(host.database().to_owned())
    }

    /// What was made is as it was.
    fn made_and_kept(&self, command: &str, file: &Path, database: &Path) -> Outcome<()> {
        let made = if file.exists() { database } else { file };
        let mut octostore = Command::new(&self.lab.server);
        run(octostore.arg(command).arg(file).arg("--database").arg(database))?;
        let before = fs::read(made)?;
        self.disk.cut_after(Duration::ZERO)?;
        self.disk.restore()?;
        let after = fs::read(made).unwrap_or_default();
        if after == before {
            return Ok(());
        }
        Err(format!("octostore {command} has said that it made {}, and it is lost", made.display())
            .into())
    }

    /// A folder that no power cut takes away.
    fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.disk.path().join(name);
        fs::create_dir(&folder)?;
        File::open(&folder)?.sync_all()?;
        File::open(self.disk.path())?.sync_all()?;
        Ok(folder)
    }
}

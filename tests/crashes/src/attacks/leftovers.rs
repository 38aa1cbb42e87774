//! What a killed server leaves behind, and what was told of it.

use crate::{
    Outcome,
    arena::Arena,
    client::{Account, Request, ask},
    lab::Lab,
    names::Standing,
    server::{Host, Server},
    worker::Work,
};
use serde_json::json;
use std::{collections::BTreeMap, fs};

/// The files that a server may leave.
const SUFFIXES: [&str; 3] = ["", "-wal", "-journal"];

/// What a killed server leaves behind, and what was told of it.
#[derive(Debug)]
pub struct Leftovers {
    /// By suffix; those that are there.
    files: BTreeMap<&'static str, Vec<u8>>,
    /// What was told before.
    told: BTreeMap<(Account, String), Standing>,
    /// The highest token that anybody was told of.
    highest: u64,
    arena: Arena,
}

impl Leftovers {
    /// Has a server work, and kills it.
    ///
    /// # Errors
    /// It does not work, or what was told cannot be.
    pub fn make(lab: &Lab, work: Work) -> Outcome<Self> {
        let folder = lab.folder("leftovers")?;
        let mut arena = Arena::new(Host::new(&lab.server, &folder), lab.seed);
        let mut told = BTreeMap::new();
        let names = arena.names().clone();
        arena.life(work, |server, _| {
            told = names.told_by(server)?;
            server.kill()
        })?;
        let files = SUFFIXES
            .into_iter()
            .filter_map(|suffix| Some((suffix, fs::read(arena.host.beside(suffix)).ok()?)))
            .collect();
        let highest = arena.tokens.highest();
        fs::remove_dir_all(folder)?;
        Ok(Self { files, told, highest, arena })
    }

    /// One of the files; empty if there is none.
    pub fn file(&self, suffix: &str) -> &[u8] {
        self.files.get(suffix).map_or(&[], Vec::as_slice)
    }

    /// Has `host` find them, and nothing else.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn put(&self, host: &Host) -> Outcome<()> {
        for suffix in SUFFIXES {
            match self.files.get(suffix) {
                Some(bytes) => fs::write(host.beside(suffix), bytes)?,
                None => drop(fs::remove_file(host.beside(suffix))),
            }
        }
        Ok(())
    }

    /// What is wrong with what a server says that has found them.
    ///
    /// # Errors
    /// It does not answer.
    pub fn judge(&self, server: &Server) -> Outcome<Vec<String>> {
        let now = self.arena.names().told_by(server)?;
        let mut wrong: Vec<String> = self
            .told
            .iter()
            .filter_map(|(place, before)| {
                let now = now.get(place).map(|now| &now.body);
                let same = now == Some(&before.body);
                (!same).then(|| format!("{place:?} was {before:?}, and is {now:?}"))
            })
            .collect();
        wrong.extend(self.judge_token(server)?);
        Ok(wrong)
    }

    /// The same, where all that may have been lost is lost: whether a token is granted again.
    ///
    /// # Errors
    /// It does not answer.
    pub fn judge_token(&self, server: &Server) -> Outcome<Option<String>> {
        let body = Some(json!({"ttl_seconds": 60}));
        let request = Request::new("POST", "/locks/a-lock-of-its-own/acquire", body);
        let answer = ask(server.address, Account::Alice, &request)?;
        let token = answer.body["fencing_token"].as_u64().ok_or_else(|| format!("{answer:?}"))?;
        let old = token <= self.highest;
        Ok(old.then(|| format!("the token {token} was granted after {}", self.highest)))
    }
}

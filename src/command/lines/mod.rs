//! The lines of an export: one JSON object each, so that any tool can look into it.
//!
//! The first is the header and names the version of this format; the last says how many there are,
//! so that a file that was cut off shows. Between them come accounts before what is theirs, and the
//! audit log, the latest entry first. Times on the wall clock are milliseconds since 1970, those on
//! the lease clock nanoseconds of the boot in the header; ids are UUIDs, hashes hexadecimal; a config
//! value is the text of its JSON. There is no bearer token in it, only their SHA-256.
//!
//! Anything that a line does not say as it should is refused: what is imported is what was exported.

mod account;
mod audit;
mod domain;
#[cfg(test)]
mod tests;

pub use account::{AccountLine, TokenLine};
pub use audit::AuditLine;
pub use domain::{ConfigLine, FlagLine, LimitLine, LockLine};

use crate::{
    clock::BootId,
    store::{AuditRows, Contents},
};
use octostore_actors::domain::values::{AccountId, FencingToken};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// The version of this format.
pub const FORMAT: u32 = 1;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    OctostoreExport(Header),
    Account(AccountLine),
    Token(TokenLine),
    Lock(LockLine),
    Limit(LimitLine),
    Flag(FlagLine),
    Config(ConfigLine),
    Audit(AuditLine),
    End(End),
}

/// The highest number that is taken of what a server counts on by itself, which so never comes to the end
/// of what it can count.
const COUNTED: u64 = 1 << 52;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub format: u32,
    boot: String,
    fencing_mark: u64,
    last_audit_id: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// This one not counted.
    pub lines: u64,
}

/// What is read so far.
#[derive(Debug)]
pub struct Reading {
    pub contents: Contents,
    pub audit: AuditRows,
}

impl Header {
    pub fn of(contents: &Contents, last_audit_id: u64) -> Self {
        Self {
            format: FORMAT,
            boot: contents.boot.as_str().to_owned(),
            fencing_mark: contents.mark.get(),
            last_audit_id,
        }
    }

    pub fn begin(self) -> Result<Reading, String> {
        Ok(Reading {
            contents: Contents {
                boot: BootId::named(&self.boot),
                mark: said("fencing_mark", FencingToken::new(self.fencing_mark).ok_or("too high"))?,
                leases: Vec::new(),
                limits: Vec::new(),
                flags: Vec::new(),
                config: Vec::new(),
                accounts: Vec::new(),
                tokens: Vec::new(),
            },
            audit: AuditRows {
                entries: Vec::new(),
                last_place: said("last_audit_id", counted(self.last_audit_id))?,
            },
        })
    }
}

fn counted(number: u64) -> Result<u64, &'static str> {
    if number <= COUNTED { Ok(number) } else { Err("at most 2^52") }
}

impl Reading {
    /// Takes what one line says, which is neither the first nor the last.
    pub fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Account(line) => self.contents.accounts.push(line.read()?),
            Line::Token(line) => self.contents.tokens.push(line.read()?),
            Line::Lock(line) => self.contents.leases.push(line.read()?),
            Line::Limit(line) => self.contents.limits.push(line.read()?),
            Line::Flag(line) => self.contents.flags.push(line.read()?),
            Line::Config(line) => self.contents.config.push(line.read()?),
            Line::Audit(line) => self.audit.entries.push(line.read()?),
            Line::OctostoreExport(_) | Line::End(_) => return Err("it stands in the middle".into()),
        }
        Ok(())
    }
}

/// What may be null, and must be there: what a token may do does not grow because a line does not say it.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(field)
}

fn account_id(id: Uuid) -> AccountId {
    AccountId::from_bytes(id.into_bytes())
}

/// What a field says, or which one says what it cannot.
fn said<T, E: ToString>(field: &str, read: Result<T, E>) -> Result<T, String> {
    read.map_err(|error| format!("{field}: {}", error.to_string()))
}

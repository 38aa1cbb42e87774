//! The lines of an export: one JSON object each, so that any tool can look into it.
//!
//! The first is the header and names the version of this format; the last says how many there are,
//! so that a file that was cut off shows. Between them come accounts before what is theirs, and the
//! audit log, the latest entry first. Times on the wall clock are milliseconds since 1970, those on
//! the lease clock nanoseconds of the boot in the header; ids are UUIDs, hashes hexadecimal; a config
//! value is the text of its JSON. There is no bearer token in it, only their SHA-256.
//!
//! Anything that a line does not say as it should is refused: what is imported is what was exported.

use crate::store::{AuditRows, Contents};
use octostore_actors::{
    domain::{
        account::{
            Account, Allowance, Origin, Role, Standing, Subject, Token, TokenName, TokenSource,
            TokenState, scope::Scope,
        },
        audit::{AuditEntry, AuditId, AuditOutcome, AuditText, Provenance, Who},
        config::{ConfigKey, Description, Entry, Incarnation, Value, Version},
        flag::{Flag, FlagName, Percentage},
        limiter::{Admitted, LimitName, MaxRequests, Policy, Reservation, Window},
        lock::{Holder, Lease},
        values::{
            AccountId, AccountName, FencingToken, LeaseId, LockName, Metadata, Owner, Quota,
            TokenHash, TokenId, Ttl, WallTime,
        },
    },
    time::Instant,
};
use serde::{Deserialize, Serialize};
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

#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    pub format: u32,
    boot: String,
    fencing_mark: u64,
    last_audit_id: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct End {
    /// This one not counted.
    pub lines: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountLine {
    id: Uuid,
    origin: OriginWord,
    subject: String,
    name: String,
    admin: bool,
    disabled: bool,
    quotas: QuotasLine,
    created_at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotasLine {
    locks: Option<u32>,
    limits: Option<u32>,
    flags: Option<u32>,
    configs: Option<u32>,
    requests_per_second: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OriginWord {
    Static,
    Local,
    Github,
    Openid,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenLine {
    sha256: String,
    id: Uuid,
    account: Uuid,
    name: String,
    source: SourceWord,
    scope: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    live: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SourceWord {
    Static,
    Issued,
    SignIn,
    Workload,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockLine {
    name: String,
    account: Uuid,
    owner: Option<String>,
    lease_id: Uuid,
    fencing_token: u64,
    ttl_seconds: u16,
    expires: u64,
    metadata: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitLine {
    account: Uuid,
    name: String,
    max_requests: u32,
    window_seconds: u32,
    horizon_seconds: u32,
    /// When, and how many.
    admitted: Vec<(u64, u32)>,
    credit: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlagLine {
    account: Uuid,
    name: String,
    enabled: bool,
    percentage: Option<u64>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigLine {
    account: Uuid,
    key: String,
    version: u64,
    incarnation: Uuid,
    value: String,
    description: Option<String>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditLine {
    id: u64,
    at: i64,
    who: String,
    account: Option<Uuid>,
    token: Option<Uuid>,
    from: String,
    request_id: String,
    action: String,
    target: String,
    result: String,
    detail: Option<String>,
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
            boot: contents.boot.clone(),
            fencing_mark: contents.mark.get(),
            last_audit_id,
        }
    }

    pub fn begin(self) -> Result<Reading, String> {
        Ok(Reading {
            contents: Contents {
                boot: self.boot,
                mark: said("fencing_mark", FencingToken::new(self.fencing_mark).ok_or("too high"))?,
                leases: Vec::new(),
                limits: Vec::new(),
                flags: Vec::new(),
                config: Vec::new(),
                accounts: Vec::new(),
                tokens: Vec::new(),
            },
            audit: AuditRows { entries: Vec::new(), last_place: self.last_audit_id },
        })
    }
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

impl AccountLine {
    pub fn of(account: &Account) -> Self {
        let quota = |quota: Option<Quota>| quota.map(Quota::get);
        let Allowance { locks, limits, flags, configs, requests_per_second } = account.allowance;
        Self {
            id: Uuid::from_bytes(*account.id.as_bytes()),
            origin: match account.origin {
                Origin::Static => OriginWord::Static,
                Origin::Local => OriginWord::Local,
                Origin::GitHub => OriginWord::Github,
                Origin::OpenId => OriginWord::Openid,
            },
            subject: account.subject.as_str().into(),
            name: account.name.as_str().into(),
            admin: account.role == Role::Admin,
            disabled: account.standing == Standing::Disabled,
            quotas: QuotasLine {
                locks: quota(locks),
                limits: quota(limits),
                flags: quota(flags),
                configs: quota(configs),
                requests_per_second: quota(requests_per_second),
            },
            created_at: account.created_at.as_millis(),
        }
    }

    fn read(self) -> Result<Account, String> {
        let quota = |quota: Option<u32>| quota.map(Quota::new);
        Ok(Account {
            id: account_id(self.id),
            origin: match self.origin {
                OriginWord::Static => Origin::Static,
                OriginWord::Local => Origin::Local,
                OriginWord::Github => Origin::GitHub,
                OriginWord::Openid => Origin::OpenId,
            },
            subject: said("subject", Subject::new(&self.subject))?,
            name: said("name", AccountName::new(&self.name))?,
            role: if self.admin { Role::Admin } else { Role::Member },
            standing: if self.disabled { Standing::Disabled } else { Standing::Enabled },
            allowance: Allowance {
                locks: quota(self.quotas.locks),
                limits: quota(self.quotas.limits),
                flags: quota(self.quotas.flags),
                configs: quota(self.quotas.configs),
                requests_per_second: quota(self.quotas.requests_per_second),
            },
            created_at: WallTime::from_millis(self.created_at),
        })
    }
}

impl TokenLine {
    pub fn of(token: &Token) -> Self {
        Self {
            sha256: token.hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect(),
            id: Uuid::from_bytes(*token.id.as_bytes()),
            account: Uuid::from_bytes(*token.account.as_bytes()),
            name: token.name.as_str().into(),
            source: match token.source {
                TokenSource::Static => SourceWord::Static,
                TokenSource::Issued => SourceWord::Issued,
                TokenSource::SignIn => SourceWord::SignIn,
                TokenSource::Workload => SourceWord::Workload,
            },
            scope: match &token.scope {
                Scope::Everything => None,
                only @ Scope::Only(_) => Some(only.to_string()),
            },
            created_at: token.created_at.as_millis(),
            expires_at: token.expires_at.map(WallTime::as_millis),
            last_used_at: token.last_used_at.map(WallTime::as_millis),
            live: token.state == TokenState::Live,
        }
    }

    fn read(self) -> Result<Token, String> {
        Ok(Token {
            hash: TokenHash::from_bytes(said("sha256", hash(&self.sha256).ok_or("no SHA-256"))?),
            id: TokenId::from_bytes(self.id.into_bytes()),
            account: account_id(self.account),
            name: said("name", TokenName::new(&self.name))?,
            source: match self.source {
                SourceWord::Static => TokenSource::Static,
                SourceWord::Issued => TokenSource::Issued,
                SourceWord::SignIn => TokenSource::SignIn,
                SourceWord::Workload => TokenSource::Workload,
            },
            scope: match self.scope {
                None => Scope::Everything,
                Some(scope) => said("scope", scope.parse::<Scope>())?,
            },
            created_at: WallTime::from_millis(self.created_at),
            expires_at: self.expires_at.map(WallTime::from_millis),
            last_used_at: self.last_used_at.map(WallTime::from_millis),
            state: if self.live { TokenState::Live } else { TokenState::Dead },
        })
    }
}

impl LockLine {
    pub fn of(lease: &Lease) -> Self {
        Self {
            name: lease.name.as_str().into(),
            account: Uuid::from_bytes(*lease.holder.account.as_bytes()),
            owner: lease.holder.owner.as_ref().map(|owner| owner.as_str().into()),
            lease_id: Uuid::from_bytes(*lease.id.as_bytes()),
            fencing_token: lease.token.get(),
            ttl_seconds: lease.ttl.as_seconds(),
            expires: lease.expires.as_nanos(),
            metadata: lease.metadata.as_ref().map(|metadata| metadata.as_str().into()),
        }
    }

    fn read(self) -> Result<Lease, String> {
        let Self { name, owner, metadata, .. } = &self;
        Ok(Lease {
            name: said("name", LockName::new(name))?,
            holder: Holder {
                account: account_id(self.account),
                owner: said("owner", owner.as_deref().map(Owner::new).transpose())?,
            },
            id: LeaseId::from_bytes(self.lease_id.into_bytes()),
            token: said("fencing_token", FencingToken::new(self.fencing_token).ok_or("too high"))?,
            ttl: said("ttl_seconds", Ttl::from_seconds(self.ttl_seconds.into()))?,
            expires: Instant::from_nanos(self.expires),
            metadata: said("metadata", metadata.as_deref().map(Metadata::new).transpose())?,
        })
    }
}

impl LimitLine {
    pub fn of(row: &Reservation) -> Self {
        Self {
            account: Uuid::from_bytes(*row.account.as_bytes()),
            name: row.name.as_str().into(),
            max_requests: row.policy.max_requests.get(),
            window_seconds: row.policy.window.as_seconds(),
            horizon_seconds: row.horizon.as_seconds(),
            admitted: row.admitted.iter().map(|one| (one.at.as_nanos(), one.count)).collect(),
            credit: row.credit,
        }
    }

    fn read(self) -> Result<Reservation, String> {
        let admitted: Vec<Admitted> = self
            .admitted
            .iter()
            .map(|&(at, count)| Admitted { at: Instant::from_nanos(at), count })
            .collect();
        let in_order = admitted.is_sorted_by_key(|admitted| admitted.at);
        Ok(Reservation {
            account: account_id(self.account),
            name: said("name", LimitName::new(&self.name))?,
            policy: Policy {
                max_requests: said("max_requests", MaxRequests::new(self.max_requests.into()))?,
                window: said("window_seconds", Window::from_seconds(self.window_seconds.into()))?,
            },
            horizon: said("horizon_seconds", Window::from_seconds(self.horizon_seconds.into()))?,
            admitted: said("admitted", in_order.then_some(admitted).ok_or("not in order"))?,
            credit: self.credit,
        })
    }
}

impl FlagLine {
    pub fn of(flag: &Flag) -> Self {
        Self {
            account: Uuid::from_bytes(*flag.account.as_bytes()),
            name: flag.name.as_str().into(),
            enabled: flag.enabled,
            percentage: flag.percentage.map(|percentage| percentage.get().into()),
            created_at: flag.created_at.as_millis(),
            updated_at: flag.updated_at.as_millis(),
        }
    }

    fn read(self) -> Result<Flag, String> {
        Ok(Flag {
            account: account_id(self.account),
            name: said("name", FlagName::new(&self.name))?,
            enabled: self.enabled,
            percentage: said("percentage", self.percentage.map(Percentage::new).transpose())?,
            created_at: WallTime::from_millis(self.created_at),
            updated_at: WallTime::from_millis(self.updated_at),
        })
    }
}

impl ConfigLine {
    pub fn of(entry: &Entry) -> Self {
        Self {
            account: Uuid::from_bytes(*entry.account.as_bytes()),
            key: entry.key.as_str().into(),
            version: entry.version.get(),
            incarnation: Uuid::from_bytes(entry.incarnation.0),
            value: entry.value.as_json().into(),
            description: entry.description.as_ref().map(|text| text.as_str().into()),
            created_at: entry.created_at.as_millis(),
            updated_at: entry.updated_at.as_millis(),
        }
    }

    fn read(self) -> Result<Entry, String> {
        let description = self.description.as_deref().map(Description::new).transpose();
        Ok(Entry {
            account: account_id(self.account),
            key: said("key", ConfigKey::new(&self.key))?,
            incarnation: Incarnation(self.incarnation.into_bytes()),
            version: said("version", Version::new(self.version).ok_or("from 1"))?,
            value: said("value", Value::from_json(&self.value).ok_or("no JSON"))?,
            description: said("description", description)?,
            created_at: WallTime::from_millis(self.created_at),
            updated_at: WallTime::from_millis(self.updated_at),
        })
    }
}

impl AuditLine {
    pub fn of(id: AuditId, entry: &AuditEntry) -> Self {
        let (account, token) = entry.by.who.parts();
        Self {
            id: id.0,
            at: entry.by.at.as_millis(),
            who: entry.by.who.as_str().into(),
            account: account.map(|account| Uuid::from_bytes(*account.as_bytes())),
            token: token.map(|token| Uuid::from_bytes(*token.as_bytes())),
            from: entry.by.from.as_str().into(),
            request_id: entry.by.request.as_str().into(),
            action: entry.action.as_str().into(),
            target: entry.target.as_str().into(),
            result: entry.outcome.as_str().into(),
            detail: entry.detail.as_ref().map(|detail| detail.as_str().into()),
        }
    }

    fn read(self) -> Result<(AuditId, AuditEntry), String> {
        let who = match (self.account, self.token) {
            (Some(account), Some(token)) => {
                Some(Who::Token(account_id(account), TokenId::from_bytes(token.into_bytes())))
            }
            (Some(account), None) => Some(Who::Account(account_id(account))),
            (None, _) => [Who::AdminKey, Who::Stranger, Who::Server]
                .into_iter()
                .find(|who| who.as_str() == self.who),
        };
        let outcomes = [AuditOutcome::Done, AuditOutcome::Refused];
        let outcome = outcomes.into_iter().find(|outcome| outcome.as_str() == self.result);
        let entry = AuditEntry {
            by: Provenance {
                who: said("who", who.filter(|who| who.as_str() == self.who).ok_or("nobody known"))?,
                from: said("from", AuditText::new(&self.from))?,
                request: said("request_id", AuditText::new(&self.request_id))?,
                at: WallTime::from_millis(self.at),
            },
            action: said("action", self.action.parse())?,
            target: said("target", AuditText::new(&self.target))?,
            outcome: said("result", outcome.ok_or("neither ok nor refused"))?,
            detail: said("detail", self.detail.as_deref().map(AuditText::new).transpose())?,
        };
        Ok((AuditId(self.id), entry))
    }
}

fn account_id(id: Uuid) -> AccountId {
    AccountId::from_bytes(id.into_bytes())
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

/// What a field says, or which one says what it cannot.
fn said<T, E: ToString>(field: &str, read: Result<T, E>) -> Result<T, String> {
    read.map_err(|error| format!("{field}: {}", error.to_string()))
}

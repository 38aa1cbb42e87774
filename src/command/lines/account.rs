//! Accounts and their bearer tokens.

use super::{account_id, said, there};
use octostore_actors::domain::{
    account::{
        Account, Allowance, Origin, Role, Standing, Subject, Token, TokenName, TokenSource,
        TokenState, scope::Scope,
    },
    values::{AccountName, Quota, TokenHash, TokenId, WallTime},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    #[serde(deserialize_with = "there")]
    locks: Option<u32>,
    #[serde(deserialize_with = "there")]
    limits: Option<u32>,
    #[serde(deserialize_with = "there")]
    flags: Option<u32>,
    #[serde(deserialize_with = "there")]
    configs: Option<u32>,
    #[serde(deserialize_with = "there")]
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
    #[serde(deserialize_with = "there")]
    scope: Option<String>,
    created_at: i64,
    #[serde(deserialize_with = "there")]
    expires_at: Option<i64>,
    #[serde(deserialize_with = "there")]
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

    pub(super) fn read(self) -> Result<Account, String> {
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

    pub(super) fn read(self) -> Result<Token, String> {
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

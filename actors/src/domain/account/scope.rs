//! Scopes: what a token may do, and to which names.
//!
//! What always holds: a scope that is [within](Scope::is_within) another allows nothing that the
//! other does not.

use crate::domain::values::text;
use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// What a token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Whatever its account may.
    Everything,
    /// These things, and nothing else. At most [`Scope::MAX_GRANTS`].
    Only(Arc<[Grant]>),
}

/// One thing that a scope allows: an access to the names of an area that begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where.
    pub area: Area,
    /// What.
    pub access: Access,
    /// To which names; empty means all.
    pub prefix: NamePrefix,
}

/// What a scope speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Locks.
    Locks,
    /// Rate limits.
    Limits,
    /// Feature flags.
    Flags,
    /// Configuration.
    Config,
    /// Administration: the accounts and what they use.
    AdminAccounts,
    /// Administration: disabling and enabling accounts.
    AdminAccess,
    /// Administration: making administrators.
    AdminRoles,
    /// Administration: what accounts may have.
    AdminQuotas,
    /// Administration: ending anybody's lease.
    AdminLocks,
    /// Administration: the audit log.
    AdminAudit,
    /// Administration: the metrics.
    AdminMetrics,
    /// Administration: a copy of everything.
    AdminBackup,
}

impl Area {
    /// All of them: a new one stands before the last, so that its absence here does not compile.
    pub const ALL: [Self; Self::AdminBackup as usize + 1] = [
        Self::Locks,
        Self::Limits,
        Self::Flags,
        Self::Config,
        Self::AdminAccounts,
        Self::AdminAccess,
        Self::AdminRoles,
        Self::AdminQuotas,
        Self::AdminLocks,
        Self::AdminAudit,
        Self::AdminMetrics,
        Self::AdminBackup,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Locks => "locks",
            Self::Limits => "limits",
            Self::Flags => "flags",
            Self::Config => "config",
            Self::AdminAccounts => "admin.accounts",
            Self::AdminAccess => "admin.access",
            Self::AdminRoles => "admin.roles",
            Self::AdminQuotas => "admin.quotas",
            Self::AdminLocks => "admin.locks",
            Self::AdminAudit => "admin.audit",
            Self::AdminMetrics => "admin.metrics",
            Self::AdminBackup => "admin.backup",
        }
    }

    /// Whether it speaks of what an account has under names, and not of administration.
    pub const fn is_domain(self) -> bool {
        match self {
            Self::Locks | Self::Limits | Self::Flags | Self::Config => true,
            Self::AdminAccounts
            | Self::AdminAccess
            | Self::AdminRoles
            | Self::AdminQuotas
            | Self::AdminLocks
            | Self::AdminAudit
            | Self::AdminMetrics
            | Self::AdminBackup => false,
        }
    }
}

/// Reading, or changing and reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Looks, and changes nothing.
    Read,
    /// Changes, and looks too.
    Write,
}

impl Access {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// How the names begin that a grant speaks of: up to 128 characters, none of them a space, a
/// control character, `"` or `\` (as RFC 6749, section 3.3, has it for scopes).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePrefix(Arc<str>);

text!(
    NamePrefix,
    InvalidNamePrefix,
    |text| text.chars().count() <= 128
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '"' | '\\')),
    "a name prefix has at most 128 characters, none of them a space, '\"' or '\\'"
);

/// Which names of a list a scope lets somebody see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Those with this prefix.
    Prefix(Box<str>),
    /// Several prefixes, of which one must be asked for.
    Several,
    /// None.
    Nothing,
}

impl Scope {
    /// How many grants a scope may have.
    pub const MAX_GRANTS: usize = 50;

    /// The scope of these grants; `None` if they are none, or too many.
    pub fn only(grants: Vec<Grant>) -> Option<Self> {
        (1..=Self::MAX_GRANTS).contains(&grants.len()).then(|| Self::Only(grants.into()))
    }

    /// Whether it allows `access` to `name` in `area`.
    pub fn allows(&self, area: Area, access: Access, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(grants) => grants.iter().any(|grant| {
                grant.area == area
                    && grant.access >= access
                    && name.starts_with(grant.prefix.as_str())
            }),
        }
    }

    /// Which names that begin with `prefix` it lets somebody see in `area`.
    pub fn sight(&self, area: Area, prefix: &str) -> Sight {
        let Self::Only(grants) = self else { return Sight::Prefix(prefix.into()) };
        let mut narrower: Vec<&str> = Vec::new();
        for grant in grants.iter().filter(|grant| grant.area == area) {
            let granted = grant.prefix.as_str();
            if prefix.starts_with(granted) {
                return Sight::Prefix(prefix.into());
            }
            if granted.starts_with(prefix) {
                narrower.push(granted);
            }
        }
        // Of prefixes within each other the widest counts.
        let widest = narrower.iter().min_by_key(|granted| granted.len()).copied();
        match widest {
            None => Sight::Nothing,
            Some(widest) if narrower.iter().all(|granted| granted.starts_with(widest)) => {
                Sight::Prefix(widest.into())
            }
            Some(_) => Sight::Several,
        }
    }

    /// Whether it allows nothing that `other` does not.
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Everything) => true,
            (Self::Everything, Self::Only(_)) => false,
            (Self::Only(grants), Self::Only(_)) => grants
                .iter()
                .all(|grant| other.allows(grant.area, grant.access, grant.prefix.as_str())),
        }
    }
}

/// Not a possible [`Scope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// One of its grants is none.
    #[error(transparent)]
    Grant(#[from] InvalidGrant),
    /// It has none, or too many.
    #[error("a token has 1 to {} scopes", Scope::MAX_GRANTS)]
    Count,
}

/// Grants with spaces between them, as OAuth 2 writes scopes (RFC 6749, section 3.3).
impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let grants: Result<Vec<Grant>, _> = text.split_whitespace().map(str::parse).collect();
        Self::only(grants?).ok_or(InvalidScope::Count)
    }
}

/// As it is read; everything is `*`, which is not read.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Only(grants) = self else { return f.write_str("*") };
        for (index, grant) in grants.iter().enumerate() {
            write!(f, "{}{grant}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Not a possible [`Grant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is AREA:ACCESS or AREA:ACCESS:PREFIX, with locks, limits, flags, config or an area of \
     administration (admin.accounts, admin.access, admin.roles, admin.quotas, admin.locks, \
     admin.audit, admin.metrics, admin.backup), and read or write, as in locks:write:deploy/"
)]
pub struct InvalidGrant;

impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let mut parts = text.splitn(3, ':');
        let (area, access, prefix) = (parts.next(), parts.next(), parts.next());
        let area = Area::ALL.into_iter().find(|known| Some(known.as_str()) == area);
        let access = [Access::Read, Access::Write]
            .into_iter()
            .find(|known| access.is_none_or(|access| access == known.as_str()));
        // An area alone is all of it.
        let access = if text.contains(':') { access } else { Some(Access::Write) };
        Ok(Self {
            area: area.ok_or(InvalidGrant)?,
            access: access.ok_or(InvalidGrant)?,
            prefix: NamePrefix::new(prefix.unwrap_or_default()).map_err(|_| InvalidGrant)?,
        })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.area.as_str(), self.access.as_str())?;
        let prefix = self.prefix.as_str();
        if prefix.is_empty() { Ok(()) } else { write!(f, ":{prefix}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn a_grant_reads_as_it_is_written() {
        for text in ["locks:read", "config:write:payments.", "admin.audit:read", "limits:read:a:b"]
        {
            assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
        }
        assert_eq!(scope("locks:read  flags:write:x").to_string(), "locks:read flags:write:x");
        assert_eq!("flags".parse::<Grant>().unwrap().to_string(), "flags:write");
        for bad in ["", ":", "lock:read", "locks:", "locks:own", "locks:read:a b", "Locks:read"] {
            assert_eq!(bad.parse::<Grant>(), Err(InvalidGrant), "{bad:?}");
        }
    }

    #[test]
    fn a_scope_allows_what_its_grants_say() {
        let scope = scope("locks:write:deploy/ flags:read");
        assert!(scope.allows(Area::Locks, Access::Write, "deploy/eu"));
        assert!(scope.allows(Area::Locks, Access::Read, "deploy/eu"), "writing is reading too");
        assert!(!scope.allows(Area::Locks, Access::Read, "deploy"));
        assert!(scope.allows(Area::Flags, Access::Read, "any"));
        assert!(!scope.allows(Area::Flags, Access::Write, "any"));
        assert!(!scope.allows(Area::Config, Access::Read, "any"));
        assert!(Scope::Everything.allows(Area::AdminRoles, Access::Write, ""));
    }

    #[test]
    fn a_list_shows_what_may_be_read() {
        let one = scope("locks:read:a/ locks:write:a/b/");
        assert_eq!(one.sight(Area::Locks, ""), Sight::Prefix("a/".into()));
        assert_eq!(one.sight(Area::Locks, "a/b/c"), Sight::Prefix("a/b/c".into()));
        assert_eq!(one.sight(Area::Locks, "b"), Sight::Nothing);
        assert_eq!(one.sight(Area::Flags, ""), Sight::Nothing);
        let two = scope("locks:read:a/ locks:read:b/");
        assert_eq!(two.sight(Area::Locks, ""), Sight::Several);
        assert_eq!(two.sight(Area::Locks, "b"), Sight::Prefix("b/".into()));
        assert_eq!(Scope::Everything.sight(Area::Locks, "x"), Sight::Prefix("x".into()));
    }

    #[test]
    fn scopes_are_bounded() {
        let grant: Grant = "locks:read".parse().unwrap();
        assert_eq!(Scope::only(vec![]), None);
        assert_eq!(Scope::only(vec![grant; Scope::MAX_GRANTS + 1]), None);
    }
}

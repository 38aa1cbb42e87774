//! Paths: which there are, and which methods each answers to.

use super::{openapi::Form, pages::Page};
use octostore_actors::domain::account::scope::Access;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// `/health`, `/livez`, `/readyz`.
    Probe(Probe),
    /// `/openapi.yaml`, `/openapi.json`.
    OpenApi(Form),
    /// `/docs`, `/dashboard`.
    Page(Page),
    /// `/`.
    Root,
    /// `/assets/{file}`.
    Asset(RawName<'a>),
    /// `/metrics`.
    Metrics,
    /// `/locks`.
    Locks,
    /// `/locks/{name}`.
    Lock(RawName<'a>),
    /// `/locks/{name}/{action}`.
    LockAction(RawName<'a>, LockAction),
    /// `/limits`.
    Limits,
    /// `/limits/{name}`.
    Limit(RawName<'a>),
    /// `/limits/{name}/check`.
    LimitCheck(RawName<'a>),
    /// `/flags`.
    Flags,
    /// `/flags/{name}`.
    Flag(RawName<'a>),
    /// `/config`.
    ConfigKeys,
    /// `/config/{key}`.
    Config(RawName<'a>),
    /// `/config/{key}/history`.
    ConfigHistory(RawName<'a>),
    /// `/config/{key}/rollback`.
    ConfigRollback(RawName<'a>),
    /// `/auth/me`.
    Me,
    /// `/auth/tokens`.
    Tokens,
    /// `/auth/tokens/{id}`.
    Token(RawName<'a>),
    /// `/auth/token`.
    TokenEndpoint,
    /// `/auth/token/rotate`.
    RotateToken,
    /// `/auth/device`.
    Device,
    /// `/auth/device/code`.
    DeviceCode,
    /// `/auth/device/confirm`.
    DeviceConfirm,
    /// `/auth/github`, `/auth/oidc/{provider}`.
    SignIn(ProviderPath<'a>),
    /// `/auth/github/callback`, `/auth/oidc/{provider}/callback`.
    SignInCallback(ProviderPath<'a>),
    /// `/admin/…`
    Admin(Admin<'a>),
    /// `/dashboard/session`.
    Session,
    /// `/dashboard/sign-in/github`, `/dashboard/sign-in/oidc/{provider}`.
    DashboardSignIn(ProviderPath<'a>),
}

/// What a path under `/admin` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admin<'a> {
    /// `/admin/accounts`.
    Accounts,
    /// `/admin/accounts/{id}`.
    Account(RawName<'a>),
    /// `/admin/accounts/{id}/{action}`.
    AccountAction(RawName<'a>, AccountAction),
    /// `/admin/accounts/{id}/quotas`.
    Quotas(RawName<'a>),
    /// `/admin/locks/{name}/release`.
    LockRelease(RawName<'a>),
    /// `/admin/audit`.
    Audit,
    /// `/admin/audit/export`.
    AuditExport,
    /// `/admin/backup`.
    Backup,
}

/// What an administrator can do with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountAction {
    /// `POST /admin/accounts/{id}/disable`.
    Disable,
    /// `POST /admin/accounts/{id}/enable`.
    Enable,
    /// `POST /admin/accounts/{id}/promote`.
    Promote,
    /// `POST /admin/accounts/{id}/demote`.
    Demote,
}

/// What a supervisor asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The documents' health check.
    Health,
    /// Is the process alive?
    Live,
    /// May requests be sent to it?
    Ready,
}

/// What can be done with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockAction {
    /// `POST /locks/{name}/acquire`.
    Acquire,
    /// `POST /locks/{name}/release`.
    Release,
    /// `POST /locks/{name}/renew`.
    Renew,
}

/// A provider that people sign in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderPath<'a> {
    /// `github`.
    GitHub,
    /// `oidc/{provider}`.
    OpenId(RawName<'a>),
}

/// A name as it stands in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawName<'a>(&'a str);

impl<'a> RawName<'a> {
    /// The name, percent-decoded once. `None` if it is not UTF-8 then.
    pub fn decode(self) -> Option<Cow<'a, str>> {
        // As most are.
        if self.0.bytes().all(|byte| byte != b'%') {
            return Some(self.0.into());
        }
        percent_decode_str(self.0).decode_utf8().ok()
    }

    /// The same, but empty if it is not UTF-8: nothing has an empty name either.
    pub fn text(self) -> Cow<'a, str> {
        self.decode().unwrap_or_default()
    }
}

impl<'a> Resource<'a> {
    /// What `path` names, if anything.
    pub fn of(path: &'a str) -> Option<Self> {
        let mut rest = Some(path.strip_prefix('/')?);
        let mut next = || {
            let (segment, behind) = split(rest?);
            rest = behind;
            Some(segment)
        };
        let path = [next(), next(), next(), next(), next()];
        Some(match path {
            [Some("health"), None, ..] => Self::Probe(Probe::Health),
            [Some("livez"), None, ..] => Self::Probe(Probe::Live),
            [Some("readyz"), None, ..] => Self::Probe(Probe::Ready),
            [Some("openapi.yaml"), None, ..] => Self::OpenApi(Form::Yaml),
            [Some("openapi.json"), None, ..] => Self::OpenApi(Form::Json),
            [Some("docs"), None, ..] => Self::Page(Page::Docs),
            [Some(""), None, ..] => Self::Root,
            [Some("assets"), Some(file), None, ..] => Self::Asset(RawName(file)),
            [Some("metrics"), None, ..] => Self::Metrics,
            [Some("locks"), None, ..] => Self::Locks,
            [Some("locks"), Some(name), None, ..] => Self::Lock(RawName(name)),
            [Some("locks"), Some(name), Some(action), None, _] => {
                let action = match action {
                    "acquire" => LockAction::Acquire,
                    "release" => LockAction::Release,
                    "renew" => LockAction::Renew,
                    _ => return None,
                };
                Self::LockAction(RawName(name), action)
            }
            [Some("limits"), None, ..] => Self::Limits,
            [Some("limits"), Some(name), None, ..] => Self::Limit(RawName(name)),
            [Some("limits"), Some(name), Some("check"), None, _] => Self::LimitCheck(RawName(name)),
            [Some("flags"), None, ..] => Self::Flags,
            [Some("flags"), Some(name), None, ..] => Self::Flag(RawName(name)),
            [Some("config"), None, ..] => Self::ConfigKeys,
            [Some("config"), Some(key), None, ..] => Self::Config(RawName(key)),
            [Some("config"), Some(key), Some("history"), None, _] => {
                Self::ConfigHistory(RawName(key))
            }
            [Some("config"), Some(key), Some("rollback"), None, _] => {
                Self::ConfigRollback(RawName(key))
            }
            [Some("auth"), Some("me"), None, ..] => Self::Me,
            [Some("auth"), Some("tokens"), None, ..] => Self::Tokens,
            [Some("auth"), Some("tokens"), Some(id), None, _] => Self::Token(RawName(id)),
            [Some("auth"), Some("token"), None, ..] => Self::TokenEndpoint,
            [Some("auth"), Some("token"), Some("rotate"), None, _] => Self::RotateToken,
            [Some("auth"), Some("device"), None, ..] => Self::Device,
            [Some("auth"), Some("device"), Some("code"), None, _] => Self::DeviceCode,
            [Some("auth"), Some("device"), Some("confirm"), None, _] => Self::DeviceConfirm,
            [Some("auth"), Some("github"), None, ..] => Self::SignIn(ProviderPath::GitHub),
            [Some("auth"), Some("github"), Some("callback"), None, _] => {
                Self::SignInCallback(ProviderPath::GitHub)
            }
            [Some("auth"), Some("oidc"), Some(name), None, _] => {
                Self::SignIn(ProviderPath::OpenId(RawName(name)))
            }
            [Some("auth"), Some("oidc"), Some(name), Some("callback"), None] => {
                Self::SignInCallback(ProviderPath::OpenId(RawName(name)))
            }
            [Some("dashboard"), None, ..] => Self::Page(Page::Dashboard),
            [Some("dashboard"), Some("session"), None, ..] => Self::Session,
            [Some("dashboard"), Some("sign-in"), Some("github"), None, _] => {
                Self::DashboardSignIn(ProviderPath::GitHub)
            }
            [Some("dashboard"), Some("sign-in"), Some("oidc"), Some(name), None] => {
                Self::DashboardSignIn(ProviderPath::OpenId(RawName(name)))
            }
            [Some("admin"), rest @ ..] => Self::Admin(Admin::of(rest)?),
            _ => return None,
        })
    }

    /// The methods it answers to.
    pub fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Probe(_)
            | Self::OpenApi(_)
            | Self::Page(_)
            | Self::Root
            | Self::Asset(_)
            | Self::Metrics
            | Self::Locks
            | Self::Lock(_)
            | Self::Limits
            | Self::Flags
            | Self::ConfigKeys
            | Self::ConfigHistory(_)
            | Self::Me
            | Self::Device
            | Self::SignIn(_)
            | Self::DashboardSignIn(_) => &["GET", "HEAD"],
            // Asking for nothing but the head would use up the code.
            Self::SignInCallback(_) => &["GET"],
            Self::Tokens => &["GET", "HEAD", "POST"],
            Self::Token(_) => &["DELETE"],
            Self::Session => &["GET", "HEAD", "POST", "DELETE"],
            Self::Admin(admin) => admin.methods(),
            Self::Limit(_) => &["GET", "HEAD", "DELETE"],
            Self::Flag(_) | Self::Config(_) => &["GET", "HEAD", "PUT", "DELETE"],
            Self::LockAction(..)
            | Self::LimitCheck(_)
            | Self::ConfigRollback(_)
            | Self::RotateToken
            | Self::TokenEndpoint
            | Self::DeviceCode
            | Self::DeviceConfirm => &["POST"],
        }
    }

    /// What `method` asks of it; `None` if it does not answer to that.
    pub fn verb(&self, method: &str) -> Option<Verb> {
        Some(match method {
            _ if !self.methods().contains(&method) => return None,
            "PUT" => Verb::Put,
            "POST" => Verb::Post,
            "DELETE" => Verb::Delete,
            _ => Verb::Get,
        })
    }
}

/// The first segment of `path`, and what is behind the slash at its end. Most are short: to look at
/// one byte after the other takes less than to get ready for looking at many.
fn split(path: &str) -> (&str, Option<&str>) {
    match path.bytes().position(|byte| byte == b'/') {
        Some(end) => (&path[..end], Some(&path[end + 1..])),
        None => (path, None),
    }
}

impl<'a> Admin<'a> {
    /// What the segments after `/admin` name, if anything.
    fn of(segments: [Option<&'a str>; 4]) -> Option<Self> {
        Some(match segments {
            [Some("accounts"), None, ..] => Self::Accounts,
            [Some("accounts"), Some(id), None, _] => Self::Account(RawName(id)),
            [Some("accounts"), Some(id), Some("quotas"), None] => Self::Quotas(RawName(id)),
            [Some("accounts"), Some(id), Some(action), None] => {
                let action = match action {
                    "disable" => AccountAction::Disable,
                    "enable" => AccountAction::Enable,
                    "promote" => AccountAction::Promote,
                    "demote" => AccountAction::Demote,
                    _ => return None,
                };
                Self::AccountAction(RawName(id), action)
            }
            [Some("locks"), Some(name), Some("release"), None] => Self::LockRelease(RawName(name)),
            [Some("audit"), None, ..] => Self::Audit,
            [Some("audit"), Some("export"), None, _] => Self::AuditExport,
            [Some("backup"), None, ..] => Self::Backup,
            _ => return None,
        })
    }

    fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Accounts | Self::Account(_) | Self::Audit | Self::AuditExport => &["GET", "HEAD"],
            // Asking for nothing but the head would make all of it.
            Self::Backup => &["GET"],
            Self::AccountAction(..) | Self::LockRelease(_) => &["POST"],
            Self::Quotas(_) => &["PUT"],
        }
    }
}

/// What a method asks. `HEAD` asks what `GET` does; hyper leaves the body out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read.
    Get,
    /// Set.
    Put,
    /// Do.
    Post,
    /// Remove.
    Delete,
}

impl Verb {
    /// What a token must allow for it.
    pub fn access(self) -> Access {
        match self {
            Self::Get => Access::Read,
            Self::Put | Self::Post | Self::Delete => Access::Write,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_slashes_only_when_encoded() {
        let Some(Resource::Lock(name)) = Resource::of("/locks/a%2Fb") else { panic!() };
        assert_eq!(name.decode().unwrap(), "a/b");
        let Some(Resource::Lock(name)) = Resource::of("/locks/a%252Fb") else { panic!() };
        assert_eq!(name.decode().unwrap(), "a%2Fb", "decoded once");
        assert_eq!(Resource::of("/locks/a/b"), None);
        assert_eq!(Resource::of("/locks/a/b/acquire"), None);
        let Some(Resource::Lock(name)) = Resource::of("/locks/%ff") else { panic!() };
        assert_eq!(name.decode(), None);
    }

    #[test]
    fn unknown_paths_are_unknown() {
        for path in ["", "*", "/lock", "/locks/a/steal", "/locks/a/acquire/", "/health/x", "//"] {
            assert_eq!(Resource::of(path), None, "{path}");
        }
        for path in ["", "/", "/locks", "/accounts/a/b", "/accounts/a/enable/x", "/audit/x"] {
            assert_eq!(Resource::of(&format!("/admin{path}")), None, "/admin{path}");
        }
    }

    #[test]
    fn every_path_says_what_it_answers_to() {
        let acquire = Resource::of("/locks/a/acquire").unwrap();
        assert_eq!(acquire.verb("POST"), Some(Verb::Post));
        assert!(acquire.verb("GET").is_none() && acquire.verb("PO").is_none());
        let list = Resource::of("/locks").unwrap();
        assert_eq!((list.verb("GET"), list.verb("HEAD")), (Some(Verb::Get), Some(Verb::Get)));
        assert_eq!(list.verb("DELETE"), None);
        let flag = Resource::of("/flags/a").unwrap();
        assert_eq!((flag.verb("PUT"), flag.verb("POST")), (Some(Verb::Put), None));
    }
}

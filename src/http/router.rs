//! Paths: which there are, and which methods each answers to.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// `/health`, `/livez`, `/readyz`.
    Probe(Probe),
    /// `/locks`.
    Locks,
    /// `/locks/{name}`.
    Lock(RawName<'a>),
    /// `/locks/{name}/{action}`.
    LockAction(RawName<'a>, LockAction),
    /// `/auth/token/rotate`.
    RotateToken,
    /// `/auth/github` and its callback, `/auth/oidc/{provider}` and its callback.
    SignIn,
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

/// A name as it stands in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawName<'a>(&'a str);

impl<'a> RawName<'a> {
    /// The name, percent-decoded once. `None` if it is not UTF-8 then.
    pub fn decode(self) -> Option<Cow<'a, str>> {
        percent_decode_str(self.0).decode_utf8().ok()
    }
}

impl<'a> Resource<'a> {
    /// What `path` names, if anything.
    pub fn of(path: &'a str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut next = || segments.next();
        let path = [next(), next(), next(), next(), next()];
        Some(match path {
            [Some("health"), None, ..] => Self::Probe(Probe::Health),
            [Some("livez"), None, ..] => Self::Probe(Probe::Live),
            [Some("readyz"), None, ..] => Self::Probe(Probe::Ready),
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
            [Some("auth"), Some("token"), Some("rotate"), None, _] => Self::RotateToken,
            [Some("auth"), Some("github"), None, ..]
            | [Some("auth"), Some("github"), Some("callback"), None, _]
            | [Some("auth"), Some("oidc"), Some(_), None, _]
            | [Some("auth"), Some("oidc"), Some(_), Some("callback"), None] => Self::SignIn,
            _ => return None,
        })
    }

    /// The methods it answers to, as the `Allow` header names them.
    pub fn allow(&self) -> &'static str {
        match self {
            Self::Probe(_) | Self::Locks | Self::Lock(_) | Self::SignIn => "GET, HEAD",
            Self::LockAction(..) | Self::RotateToken => "POST",
        }
    }

    /// Whether it answers to `method`.
    pub fn allows(&self, method: &str) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method)
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
        for path in
            ["", "*", "/", "/lock", "/locks/a/steal", "/locks/a/acquire/", "/health/x", "//"]
        {
            assert_eq!(Resource::of(path), None, "{path}");
        }
    }

    #[test]
    fn every_path_says_what_it_answers_to() {
        let acquire = Resource::of("/locks/a/acquire").unwrap();
        assert!(acquire.allows("POST") && !acquire.allows("GET") && !acquire.allows("PO"));
        let list = Resource::of("/locks").unwrap();
        assert!(list.allows("GET") && list.allows("HEAD") && !list.allows("DELETE"));
    }
}

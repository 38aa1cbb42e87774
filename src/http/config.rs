//! Versioned configuration over HTTP: put, get, history, rollback, delete, list.

use super::{
    Context, Reply,
    body::{self, BODY_LIMIT, Whole},
    caller::provenance,
    empty,
    error::ApiError,
    etag, json_body, json_object,
    listing::{Listed, once_more},
    object::{Json, Object},
    query,
    router::{RawName, Verb},
    versions,
    wire::Stamp,
};
use crate::{app::Service, auth::Identity, ids};
use hyper::{StatusCode, body::Incoming, header::ETAG};
use octostore_actors::domain::{
    account::scope::{Access, Area},
    config::{
        ConfigCommand, ConfigKey, ConfigOutcome, Description, Entry, Etag, Expected, Value, Version,
    },
    page::{Page, Selection},
    values::AccountId,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::{borrow::Cow, sync::Arc};

/// The largest body of a put: the largest value, and what else a put says.
const PUT_LIMIT: usize = Value::MAX_BYTES + BODY_LIMIT;

/// How deeply the arrays and objects of a value may be nested.
pub const MAX_DEPTH: usize = 128;

/// `PUT /config/{key}`, `GET /config/{key}`, `DELETE /config/{key}`
pub async fn one(
    context: &Context<'_>,
    identity: &Identity,
    key: RawName<'_>,
    verb: Verb,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let account = identity.may(Area::Config, verb.access(), &text(key))?;
    let command = match verb {
        Verb::Put => put(context, identity, account, key, body).await?,
        Verb::Delete => {
            let expected = etag::expected(&context.head.headers);
            let key = existing(key).map_err(|absent| match expected {
                // What is not there is not in the state that is expected either.
                Expected::Something | Expected::OneOf(_) => ApiError::Unexpected,
                Expected::Anything | Expected::Nothing | Expected::NoneOf(_) => absent,
            })?;
            let by = provenance(context, identity.who());
            ConfigCommand::Delete { account, key, expected, by }
        }
        Verb::Get | Verb::Post => {
            let version = query::parameter(context.head, "version");
            // A version that cannot be is one that never was.
            let version = version.map(|text| {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let number = text.parse().ok().filter(|_| digits);
                number.and_then(Version::new).ok_or(ApiError::VersionNotFound)
            });
            let version = version.transpose()?;
            let key = existing(key).map_err(|absent| match version {
                Some(_) => ApiError::VersionNotFound,
                None => absent,
            })?;
            let look = ConfigCommand::Get { account, key, version };
            let outcome = context.service.config.look(look).await?;
            return match version {
                Some(_) => respond_version(context, outcome),
                None => respond(context, outcome),
            };
        }
    };
    respond(context, context.service.config.ask(command).await?)
}

/// `GET /config/{key}/history`
pub async fn history(
    context: &Context<'_>,
    identity: &Identity,
    key: RawName<'_>,
) -> Result<Reply, ApiError> {
    let account = identity.may(Area::Config, Access::Read, &text(key))?;
    let command = ConfigCommand::History { account, key: existing(key)? };
    let outcome = context.service.config.look(command.clone()).await?;
    let ConfigOutcome::History(entries) = outcome else { return respond(context, outcome) };
    let Some(present) = entries.first() else {
        unreachable!("a key that exists has a version");
    };
    let etag = present.etag();
    if etag::is_known(&context.head.headers, etag) {
        return Ok(with_etag(empty(StatusCode::NOT_MODIFIED), etag));
    }
    let (service, identity) = (Arc::clone(context.service), identity.clone());
    let again = move || kept(Arc::clone(&service), identity.clone(), command.clone());
    Ok(with_etag(json_body(StatusCode::OK, versions::body(&entries, again)), etag))
}

/// The versions of a key that are kept by now, for whoever may still read them: none when it is gone.
async fn kept(
    service: Arc<Service>,
    identity: Identity,
    history: ConfigCommand,
) -> Result<Vec<Entry>, ApiError> {
    let ask = async || Ok(service.config.look(history.clone()).await?);
    let outcome = once_more(&service, &identity, ask).await?;
    let ConfigOutcome::History(entries) = outcome else { return Ok(Vec::new()) };
    Ok(entries)
}

/// `POST /config/{key}/rollback`
pub async fn rollback(
    context: &Context<'_>,
    identity: &Identity,
    key: RawName<'_>,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let account = identity.may(Area::Config, Access::Write, &text(key))?;
    let key = existing(key).map_err(|_| ApiError::VersionNotFound)?;
    let asked: RollbackBody = body::parse(&context.read(identity, body, BODY_LIMIT).await?)?;
    let version = asked.version.ok_or(ApiError::MissingField("version"))?;
    let command = ConfigCommand::Rollback {
        account,
        key,
        version: version.as_u64().and_then(Version::new).ok_or(ApiError::Version)?,
        expected: etag::expected(&context.head.headers),
        quota: identity.quotas().config,
        by: provenance(context, identity.who()),
    };
    respond_version(context, context.service.config.ask(command).await?)
}

/// The keys of an account.
pub struct Keys;

impl Listed for Keys {
    type Item = Entry;
    const AREA: Area = Area::Config;
    const KEY: &'static str = "configs";
    const TELLS_TOTAL: bool = false;

    async fn page(
        service: &Service,
        account: AccountId,
        selection: Selection,
    ) -> Result<Page<Entry>, ApiError> {
        let outcome = service.config.look(ConfigCommand::List { account, selection }).await?;
        let ConfigOutcome::Keys(page) = outcome else {
            unreachable!("a list is answered by a list");
        };
        Ok(page)
    }

    fn name(entry: &Entry) -> &str {
        entry.key.as_str()
    }

    fn object(_: &Service, entry: &Entry) -> Object {
        with_key(Object::new(), entry)
    }
}

#[derive(Deserialize)]
pub(super) struct PutBody<'a> {
    /// As it was sent: `null` is a value like any other.
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    description: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct RollbackBody {
    version: Option<Whole>,
}

async fn put(
    context: &Context<'_>,
    identity: &Identity,
    account: AccountId,
    key: RawName<'_>,
    body: &mut Incoming,
) -> Result<ConfigCommand, ApiError> {
    let key = ConfigKey::new(&text(key))?;
    let bytes = context.read(identity, body, PUT_LIMIT).await?;
    let asked: PutBody<'_> = body::parse(&bytes)?;
    let json = asked.value.ok_or(ApiError::MissingField("value"))?.get();
    if depth(json) > MAX_DEPTH {
        return Err(ApiError::TooDeep { limit: MAX_DEPTH });
    }
    Ok(ConfigCommand::Put {
        account,
        key,
        value: Value::from_json(json).ok_or(ApiError::ValueTooLarge { limit: Value::MAX_BYTES })?,
        description: asked.description.as_deref().map(Description::new).transpose()?,
        expected: etag::expected(&context.head.headers),
        incarnation: ids::incarnation(),
        quota: identity.quotas().config,
        by: provenance(context, identity.who()),
    })
}

/// A key that cannot be is one that does not exist.
fn existing(key: RawName<'_>) -> Result<ConfigKey, ApiError> {
    ConfigKey::new(&text(key)).map_err(|_| ApiError::ConfigNotFound)
}

/// What is no UTF-8 is no key either.
fn text(key: RawName<'_>) -> Cow<'_, str> {
    key.text()
}

/// How deeply the JSON text `json` is nested.
pub fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The answer to who asked for one version.
fn respond_version(context: &Context<'_>, outcome: ConfigOutcome) -> Result<Reply, ApiError> {
    if matches!(outcome, ConfigOutcome::NotFound) {
        return Err(ApiError::VersionNotFound);
    }
    respond(context, outcome)
}

fn respond(context: &Context<'_>, outcome: ConfigOutcome) -> Result<Reply, ApiError> {
    match outcome {
        ConfigOutcome::Found(entry) if etag::is_known(&context.head.headers, entry.etag()) => {
            Ok(with_etag(empty(StatusCode::NOT_MODIFIED), entry.etag()))
        }
        ConfigOutcome::Written(entry) | ConfigOutcome::Found(entry) => {
            Ok(with_etag(json_object(StatusCode::OK, entry_body(&entry)), entry.etag()))
        }
        ConfigOutcome::Deleted => {
            Ok(json_object(StatusCode::OK, Object::new().with("deleted", true)))
        }
        ConfigOutcome::NotFound => Err(ApiError::ConfigNotFound),
        ConfigOutcome::Unexpected => Err(ApiError::Unexpected),
        ConfigOutcome::OverQuota(quota) => Err(ApiError::TooMuchConfig(quota)),
        ConfigOutcome::NoRoom => Err(ApiError::StoreFull),
        ConfigOutcome::History(_) | ConfigOutcome::Keys(_) | ConfigOutcome::Use(_) => {
            unreachable!("nobody asks for that here")
        }
    }
}

fn with_etag(mut reply: Reply, etag: Etag) -> Reply {
    if let Some(etag) = etag::header(etag) {
        reply.headers_mut().insert(ETAG, etag);
    }
    reply
}

fn entry_body(entry: &Entry) -> Object {
    with_key(Object::new().with("value", Json(entry.value.as_json())), entry)
}

/// One of the versions of a history.
pub fn version_body(entry: &Entry) -> Object {
    Object::new()
        .with("version", entry.version.get())
        .with("value", Json(entry.value.as_json()))
        .with_some("description", entry.description.as_ref().map(Description::as_str))
        // Of the version, which is not made again.
        .with("created_at", Stamp(entry.updated_at))
}

fn with_key(object: Object, entry: &Entry) -> Object {
    object
        .with("key", entry.key.as_str())
        .with_some("description", entry.description.as_ref().map(Description::as_str))
        .with("version", entry.version.get())
        .with("created_at", Stamp(entry.created_at))
        .with("updated_at", Stamp(entry.updated_at))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn depth_counts_arrays_and_objects_and_not_strings() {
        for (json, expected) in [
            ("1", 0),
            ("[]", 1),
            ("{\"a\":[{}]}", 3),
            ("\"[[[\"", 0),
            ("[\"\\\"[[\",[]]", 2),
            ("[[],[],[[]]]", 3),
        ] {
            assert_eq!(depth(json), expected, "{json}");
        }
    }
}

//! Feature flags over HTTP: set, evaluate, delete, list.

use super::{
    Context, Reply,
    body::{self, BODY_LIMIT, Whole},
    caller::provenance,
    error::ApiError,
    json_object,
    listing::Listed,
    object::Object,
    query,
    router::{RawName, Verb},
    wire::Stamp,
};
use crate::{app::Service, auth::Identity};
use hyper::{StatusCode, body::Incoming};
use octostore_actors::domain::{
    account::scope::Area,
    flag::{Flag, FlagCommand, FlagName, FlagOutcome, InvalidPercentage, Percentage},
    page::{Page, Selection},
    values::AccountId,
};
use serde::Deserialize;
use uuid::Uuid;

/// `PUT /flags/{name}`, `GET /flags/{name}`, `DELETE /flags/{name}`
pub async fn one(
    context: &Context<'_>,
    identity: &Identity,
    name: RawName<'_>,
    verb: Verb,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let text = name.text();
    let account = identity.may(Area::Flags, verb.access(), &text)?;
    match verb {
        Verb::Put => set(context, identity, account, FlagName::new(&text)?, body).await,
        Verb::Delete => delete(context, identity, account, FlagName::new(&text).ok()).await,
        Verb::Get | Verb::Post => evaluate(context, account, &text).await,
    }
}

/// The flags of an account.
pub struct Flags;

impl Listed for Flags {
    type Item = Flag;
    const AREA: Area = Area::Flags;
    const KEY: &'static str = "flags";
    const TELLS_TOTAL: bool = false;

    async fn page(
        service: &Service,
        account: AccountId,
        selection: Selection,
    ) -> Result<Page<Flag>, ApiError> {
        let outcome = service.flags.look(FlagCommand::List { account, selection }).await?;
        let FlagOutcome::Flags(page) = outcome else {
            unreachable!("a list is answered by a list");
        };
        Ok(page)
    }

    fn name(flag: &Flag) -> &str {
        flag.name.as_str()
    }

    fn object(_: &Service, flag: &Flag) -> Object {
        flag_body(flag)
    }
}

#[derive(Deserialize)]
pub(super) struct SetBody {
    enabled: Option<bool>,
    percentage: Option<Whole>,
}

async fn set(
    context: &Context<'_>,
    identity: &Identity,
    account: AccountId,
    name: FlagName,
    body: &mut Incoming,
) -> Result<Reply, ApiError> {
    let asked: SetBody = body::parse(&context.read(identity, body, BODY_LIMIT).await?)?;
    let percentage =
        |percent: Whole| percent.as_u64().ok_or(InvalidPercentage).and_then(Percentage::new);
    let command = FlagCommand::Set {
        account,
        name,
        enabled: asked.enabled.ok_or(ApiError::MissingField("enabled"))?,
        percentage: asked.percentage.map(percentage).transpose()?,
        quota: identity.quotas().flags,
        by: provenance(context, identity.who()),
    };
    respond(context.service.flags.ask(command).await?)
}

/// Whether the flag is on for the `key` of the query, or for the account. A flag that does not
/// exist is off for everybody.
async fn evaluate(
    context: &Context<'_>,
    account: AccountId,
    text: &str,
) -> Result<Reply, ApiError> {
    let flag = match FlagName::new(text) {
        Ok(name) => {
            let command = FlagCommand::Get { account, name };
            let outcome = context.service.flags.look(command).await?;
            let FlagOutcome::Status(flag) = outcome else {
                unreachable!("a get is answered by a status");
            };
            flag
        }
        Err(_) => None,
    };
    let enabled = flag.is_some_and(|flag| match query::bytes(context.head, "key") {
        Some(key) => flag.is_on_for(key),
        None => flag.is_on_for(Uuid::from_bytes(*account.as_bytes()).to_string()),
    });
    Ok(json_object(StatusCode::OK, Object::new().with("name", text).with("enabled", enabled)))
}

async fn delete(
    context: &Context<'_>,
    identity: &Identity,
    account: AccountId,
    name: Option<FlagName>,
) -> Result<Reply, ApiError> {
    let name = name.ok_or(ApiError::FlagNotFound)?;
    let by = provenance(context, identity.who());
    let command = FlagCommand::Delete { account, name, by };
    respond(context.service.flags.ask(command).await?)
}

fn respond(outcome: FlagOutcome) -> Result<Reply, ApiError> {
    match outcome {
        FlagOutcome::Set(flag) => Ok(json_object(StatusCode::OK, flag_body(&flag))),
        FlagOutcome::Status(flag) => {
            let flag = flag.ok_or(ApiError::FlagNotFound)?;
            Ok(json_object(StatusCode::OK, flag_body(&flag)))
        }
        FlagOutcome::Deleted => {
            Ok(json_object(StatusCode::OK, Object::new().with("deleted", true)))
        }
        FlagOutcome::NotFound => Err(ApiError::FlagNotFound),
        FlagOutcome::OverQuota(quota) => Err(ApiError::TooMany { what: "flags", quota }),
        FlagOutcome::NoRoom => Err(ApiError::StoreFull),
        FlagOutcome::Flags(_) | FlagOutcome::Use(_) => unreachable!("nobody asks for that here"),
    }
}

fn flag_body(flag: &Flag) -> Object {
    Object::new()
        .with("name", flag.name.as_str())
        .with("enabled", flag.enabled)
        .with_some("percentage", flag.percentage.map(|percentage| u32::from(percentage.get())))
        .with("created_at", Stamp(flag.created_at))
        .with("updated_at", Stamp(flag.updated_at))
}

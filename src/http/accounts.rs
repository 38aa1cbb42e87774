//! Accounts over HTTP: the rotation of a token.

use super::{Context, Reply, delivery::Fragile, error::ApiError, json};
use crate::auth::{BearerToken, Identity};
use hyper::StatusCode;
use octostore_actors::domain::account::{AccountCommand, AccountOutcome};
use serde::Serialize;

/// `POST /auth/token/rotate`
pub async fn rotate(context: &Context<'_>, identity: &Identity) -> Result<Reply, ApiError> {
    let fresh = BearerToken::generate();
    let command = AccountCommand::Rotate { presented: identity.token, fresh: fresh.hash() };
    let outcome = context.service.accounts.ask(command).await?;
    // If nobody can read the fresh token, the old one must live on.
    context.delivery.holds(Fragile::Account(outcome));
    match outcome {
        AccountOutcome::Rotated { .. } => {
            Ok(json(StatusCode::OK, &RotatedBody { token: fresh.reveal() }))
        }
        AccountOutcome::UnknownToken => Err(ApiError::Unauthorized),
        AccountOutcome::NoRoom => Err(ApiError::StoreFull),
    }
}

#[derive(Serialize)]
struct RotatedBody<'a> {
    token: &'a str,
}

//! A backup of everything, over HTTP.

use super::{
    Context, Reply,
    caller::{Administrator, administrator, refused},
    error::ApiError,
    reply::{Pieces, ReplyBody},
};
use crate::{
    app::Service,
    backups::{FinishedBackup, NoBackup},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hyper::{
    Response,
    header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue},
};
use octostore_actors::domain::{
    account::{
        AccountCommand,
        scope::{Access, Area},
    },
    audit::{Action, AuditEntry, AuditOutcome, AuditText},
};
use std::{os::unix::fs::FileExt, sync::Arc};

/// How much is read from the disk at a time.
const PIECE_BYTES: usize = 256 << 10;

/// RFC 9530: what the whole of it hashes to.
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// `GET /admin/backup`
pub async fn get(context: &Context<'_>) -> Result<Reply, ApiError> {
    let admin = administrator(context, (Area::AdminBackup, Access::Read), "").await?;
    let turn = context.service.backups.turn()?;
    // Whoever has it has everything: that is noted before it is made, and so it is in it.
    let entry = AuditEntry {
        by: admin.by.clone(),
        action: Action::Backup,
        target: AuditText::truncated("everything"),
        outcome: AuditOutcome::Done,
        detail: None,
    };
    context.service.accounts.ask(AccountCommand::Note(entry)).await?;
    let made = match context.service.backups.make(turn).await {
        Ok(made) => made,
        Err(error) => {
            refused(context, admin.by.who, Action::Backup, &error.to_string()).await;
            return Err(error.into());
        }
    };
    admin.may_go_on(context.service)?;

    let (length, digest) = (made.length, BASE64_STANDARD.encode(made.sha256));
    let sending = Sending { service: Arc::clone(context.service), admin, made, at: 0 };
    let mut reply = Response::new(ReplyBody::Pieces(sending.pieces()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.sqlite3"));
    headers.insert(CONTENT_LENGTH, length.into());
    let name = HeaderValue::from_static("attachment; filename=\"octostore.backup\"");
    headers.insert(CONTENT_DISPOSITION, name);
    if let Ok(digest) = HeaderValue::try_from(format!("sha-256=:{digest}:")) {
        headers.insert(REPR_DIGEST, digest);
    }
    Ok(reply)
}

impl From<NoBackup> for ApiError {
    fn from(error: NoBackup) -> Self {
        match error {
            NoBackup::Busy => Self::BackupBusy,
            NoBackup::NoRoom => Self::StoreFull,
            NoBackup::GivenUp => Self::Overloaded,
            NoBackup::Lost(lost) => lost.into(),
            NoBackup::Io(error) => {
                tracing::error!(%error, "a backup could not be made");
                Self::BackupFailed
            }
        }
    }
}

/// A backup under way to whoever asked for it.
struct Sending {
    service: Arc<Service>,
    admin: Administrator,
    made: FinishedBackup,
    at: u64,
}

impl Sending {
    /// What is left, piece by piece, for as long as the administrator is one and the server goes on.
    fn pieces(mut self) -> Pieces {
        Pieces::new(async move {
            if self.at == self.made.length {
                return None;
            }
            Some(self.next().await.map(|piece| (piece, self.pieces())))
        })
    }

    async fn next(&mut self) -> Result<Bytes, ApiError> {
        self.admin.may_go_on(&self.service)?;
        if !self.service.is_ready() {
            return Err(ApiError::OutcomeUnknown);
        }
        let (file, at) = (Arc::clone(&self.made.file), self.at);
        let length = usize::try_from(self.made.length - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let reading = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, at).map(|()| piece)
        });
        let piece = reading.await.map_err(|_| ApiError::OutcomeUnknown)?;
        let piece = piece.map_err(NoBackup::Io)?;
        self.at += piece.len() as u64;
        Ok(piece.into())
    }
}

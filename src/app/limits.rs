//! The bounds of requests.

use crate::settings::{HeldStatus, MetricsAccess, Settings};
use rustix::process::{Resource, getrlimit};
use std::time::Duration;

/// The bounds of requests, from the settings.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the token of a sign-in lasts; `None` is until it is revoked.
    pub sign_in_life: Option<Duration>,
    /// How long an entry of the audit log is shown; `None` is for ever.
    pub audit_life: Option<Duration>,
    /// What a held lock is answered with.
    pub held_status: HeldStatus,
    /// Who may read the metrics.
    pub metrics: MetricsAccess,
    /// How many connections may be open: as the settings say, and no more than there are file
    /// descriptors for.
    pub max_connections: u32,
    /// For the head of a request.
    pub header_timeout: Duration,
    /// For its body.
    pub body_timeout: Duration,
    /// For a peer that does not read.
    pub write_timeout: Duration,
}

impl Limits {
    /// Of these settings, as far as the system goes along.
    pub fn of(settings: &Settings) -> Self {
        let most = most_connections();
        if most < settings.max_connections {
            tracing::warn!(
                "the limit of open files leaves room for {most} connections, not for the {} of \
                 --max-connections: raise it (ulimit -n, LimitNOFILE)",
                settings.max_connections
            );
        }
        Self {
            sign_in_life: (settings.sign_in_days > 0)
                .then(|| Duration::from_secs(u64::from(settings.sign_in_days) * 86_400)),
            audit_life: settings.audit_retention().life,
            held_status: settings.held_status,
            metrics: settings.metrics,
            max_connections: settings.max_connections.min(most),
            header_timeout: settings.header_timeout.into(),
            body_timeout: settings.body_timeout.into(),
            write_timeout: settings.write_timeout.into(),
        }
    }
}

/// How many connections the system has file descriptors for. Above that they would not be refused, but
/// left hanging. The limit stays as it is: it belongs to the whole process.
fn most_connections() -> u32 {
    /// What the server needs besides: the database, its journal, listeners, the runtime.
    const RESERVED: u64 = 64;
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    u32::try_from(files.saturating_sub(RESERVED).max(1)).unwrap_or(u32::MAX)
}

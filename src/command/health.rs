//! `octostore health`: does a server answer? For health checks where there is no curl.

use super::{
    CommandError,
    client::{ClientError, LocalServer, block_on},
};
use crate::settings::Bind;
use hyper::StatusCode;
use std::time::Duration;
use tokio::time::timeout;

/// A server that takes longer to say that it is well is not.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct HealthArguments {
    /// Where the server listens, on this machine; the first one counts.
    #[arg(
        long,
        env = "BIND_ADDR",
        value_name = "ADDR",
        value_delimiter = ',',
        default_value = "127.0.0.1:3000"
    )]
    server: Vec<Bind>,
}

pub fn run(arguments: &HealthArguments) -> Result<String, CommandError> {
    // clap gives at least the default.
    let Some(at) = arguments.server.first() else { return Ok(String::new()) };
    let server = LocalServer::announced(at.clone());
    let late = |_| ClientError::BrokeOff { at: at.clone(), why: "it takes too long".to_owned() };
    let asked = async { timeout(PATIENCE, server.get("/readyz")).await.map_err(late).flatten() };
    match block_on(asked).map_err(CommandError::System)? {
        Ok(_) => Ok("ready\n".to_owned()),
        // To come back later is not what somebody wants to hear who asks whether it is well now.
        Err(ClientError::Busy { at, why }) => {
            Err(ClientError::Status { at, status: StatusCode::SERVICE_UNAVAILABLE, why }.into())
        }
        Err(error) => Err(error.into()),
    }
}

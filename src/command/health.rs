//! `octostore health`: does a server answer? For health checks where there is no curl.

use super::{
    CommandError,
    client::{LocalServer, block_on},
};
use crate::settings::Bind;

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
    block_on(server.get("/readyz")).map_err(CommandError::System)??;
    Ok("ready\n".to_owned())
}

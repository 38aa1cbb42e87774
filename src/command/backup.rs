//! `octostore backup FILE`: a copy of everything, while a server runs or while none does.

use super::{
    CommandError, Database, check,
    client::{ClientError, LocalServer, block_on},
    files::NewFile,
    this_boot,
};
use crate::{
    app::token_path,
    auth::BearerToken,
    settings::{Bind, Secret},
    store::{self, BackupError, Holder},
};
use rustix::fs::{Mode, OFlags, open};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Args)]
pub struct BackupArguments {
    /// Where the backup goes. Nobody else will be able to read it.
    file: PathBuf,

    #[command(flatten)]
    database: Database,

    /// The server that has the database open, if it does not say so itself: ADDRESS:PORT or
    /// unix:PATH, on this machine.
    #[arg(long, value_name = "ADDR")]
    server: Option<Bind>,

    #[command(flatten)]
    secrets: Secrets,

    /// Replace FILE if it exists.
    #[arg(long)]
    force: bool,
}

/// What is shown to a server. The token file of a first start is found by itself.
#[derive(Debug, clap::Args)]
struct Secrets {
    /// The key of the administrator.
    #[arg(long, env = "ADMIN_KEY", value_name = "KEY", hide_env_values = true)]
    admin_key: Option<Secret>,

    /// A bearer token of an administrator, with the scope admin.backup:read or none.
    #[arg(long, env = "OCTOSTORE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<Secret>,
}

pub fn run(arguments: &BackupArguments) -> Result<String, CommandError> {
    let mut file =
        NewFile::made_of(&arguments.database.database.0, &arguments.file, arguments.force)?;
    let how = match &arguments.server {
        Some(at) => {
            fetch(arguments, LocalServer::at(at.clone())?, &mut file)?;
            "by the server that runs"
        }
        None => match store::backup(&arguments.database.database.0, file.path(), &this_boot()?) {
            Ok(()) => "while no server runs",
            Err(BackupError::InUse { holder, .. }) => {
                fetch(arguments, LocalServer::announced(address(&holder)?), &mut file)?;
                "by the server that runs"
            }
            Err(error) => return Err(error.into()),
        },
    };
    // A backup that cannot be read is none.
    let report = check::report(file.path(), &arguments.file)?;
    file.finish()?;
    Ok(format!(
        "{report}made {how}; to have a database again: octostore restore {} --database FILE\n",
        arguments.file.display()
    ))
}

/// Where a server listens that has the database open.
fn address(holder: &Holder) -> Result<Bind, ClientError> {
    let known = holder.addresses.iter().find_map(|address| address.parse().ok());
    known.ok_or(ClientError::NoAddress)
}

/// The token that a first start has written beside the database. Whoever may write into that folder must not
/// have us show any other secret that we may read: so no link is followed, and nothing else is taken for one.
fn token_of_first_start(database: &Path) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(open(token_path(database), flags, Mode::empty()).ok()?);
    let mut text = String::new();
    file.take(BearerToken::MAX_LENGTH as u64).read_to_string(&mut text).ok()?;
    let text = text.trim();
    BearerToken::is_generated(text).then(|| text.to_owned())
}

fn fetch(
    arguments: &BackupArguments,
    server: LocalServer,
    file: &mut NewFile,
) -> Result<(), CommandError> {
    let Secrets { admin_key, token } = &arguments.secrets;
    let beside = token_path(&arguments.database.database.0);
    let secret = match admin_key.as_ref().or(token.as_ref()) {
        Some(secret) => secret.reveal().to_owned(),
        None => token_of_first_start(&arguments.database.database.0)
            .ok_or_else(|| ClientError::NoSecret(beside.display().to_string()))?,
    };
    let server = server.with_secret(&secret)?;
    let fetched = block_on(server.fetch("/admin/backup", file.file()));
    match fetched.map_err(CommandError::System)? {
        Ok(_) => Ok(()),
        Err(ClientError::Cut(source)) => Err(file.failed(source)),
        Err(error) => Err(error.into()),
    }
}

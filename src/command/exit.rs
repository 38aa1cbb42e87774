//! Exit codes, after sysexits.h.

use super::{CommandError, client::ClientError};
use crate::{
    http::ListenError,
    settings::SettingsError,
    store::{BackupError, OpenError},
};
use std::io;

/// The command line is wrong.
pub const USAGE: u8 = 64;
/// A file is not what it should be.
pub const DATA: u8 = 65;
/// There is no such file.
pub const NO_INPUT: u8 = 66;
/// There is no such account.
pub const NO_USER: u8 = 67;
/// A server, or an address, is not to be had.
pub const UNAVAILABLE: u8 = 69;
/// A bug.
pub const SOFTWARE: u8 = 70;
/// The system refuses.
pub const OS: u8 = 71;
/// A file cannot be made.
pub const CANNOT_CREATE: u8 = 73;
/// A file cannot be read or written.
pub const IO: u8 = 74;
/// It is in use: later it may be free.
pub const TRY_LATER: u8 = 75;
/// It is not allowed.
pub const NO_PERMISSION: u8 = 77;
/// The settings are wrong.
pub const CONFIG: u8 = 78;

/// Of settings that cannot be used.
pub fn of_settings(error: &SettingsError) -> u8 {
    match error {
        SettingsError::Help(_) => 0,
        SettingsError::Invalid(_) => USAGE,
        SettingsError::Tokens { .. } | SettingsError::File(_) | SettingsError::Providers(_) => {
            CONFIG
        }
    }
}

/// Of a file that cannot be opened.
pub fn of_open(error: &OpenError) -> u8 {
    match error {
        OpenError::InUse { .. } | OpenError::Locked { .. } => TRY_LATER,
        OpenError::Foreign { .. }
        | OpenError::Backup { .. }
        | OpenError::Lost { .. }
        | OpenError::OtherNames { .. }
        | OpenError::Newer { .. }
        | OpenError::Damaged { .. } => DATA,
        OpenError::NoRoom { .. } | OpenError::Sqlite { .. } => IO,
        OpenError::NoFolder { .. }
        | OpenError::IsFolder { .. }
        | OpenError::NoFile { .. }
        | OpenError::NoLockFile { .. } => CANNOT_CREATE,
        OpenError::Io { source, .. } => of_file(source, CANNOT_CREATE),
        OpenError::NotAllowed { .. } => NO_PERMISSION,
    }
}

/// Of an address that cannot be listened on.
pub fn of_listen(error: &ListenError) -> u8 {
    match error {
        ListenError::InUse(_)
        | ListenError::NotASocket(_)
        | ListenError::NotOurs(_)
        | ListenError::Io { .. } => UNAVAILABLE,
        ListenError::NotAllowed(_) | ListenError::FolderNotAllowed(_) => NO_PERMISSION,
        ListenError::NoFolder(_) => CANNOT_CREATE,
        ListenError::TooLong(_) => USAGE,
        ListenError::Given(_) => CONFIG,
    }
}

/// Of a file that the system refuses; `otherwise` if it would at the next attempt too. What may pass, such
/// as a full disk, one that fails, or too many open files, is tried again by whoever starts the server.
pub fn of_file(error: &io::Error, otherwise: u8) -> u8 {
    use io::ErrorKind;
    let kind = error.kind();
    let is_of_the_path = matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::DirectoryNotEmpty
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
            | ErrorKind::ReadOnlyFilesystem
            // Our own: the system says nothing of that kind.
            | ErrorKind::InvalidData
            | ErrorKind::Other
    );
    if kind == ErrorKind::PermissionDenied {
        NO_PERMISSION
    } else if is_of_the_path {
        otherwise
    } else {
        IO
    }
}

impl CommandError {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(error) => of_settings(error),
            Self::Open(error) | Self::Backup(BackupError::Open(error)) => of_open(error),
            Self::Backup(BackupError::InUse { .. }) | Self::ServerRuns(_) => TRY_LATER,
            Self::Backup(BackupError::Nothing(_)) | Self::NoDatabase(_) => NO_INPUT,
            Self::Backup(BackupError::NoBackup(_))
            | Self::NotOurs(_)
            | Self::Line { .. }
            | Self::Older { .. } => DATA,
            Self::Backup(BackupError::Exists(_)) | Self::Exists(_) | Self::IsADatabase(_) => {
                CANNOT_CREATE
            }
            Self::Backup(BackupError::Write { source, .. }) | Self::Write { source, .. } => {
                of_file(source, CANNOT_CREATE)
            }
            Self::Backup(BackupError::Read { source, .. }) | Self::Read { source, .. } => {
                of_file(source, NO_INPUT)
            }
            Self::Client(ClientError::Refused { .. } | ClientError::NoSecret(_)) => NO_PERMISSION,
            Self::Client(ClientError::NotHere(_)) => USAGE,
            Self::Client(ClientError::Changed | ClientError::Cut { .. }) => DATA,
            Self::Client(ClientError::Busy { .. }) => TRY_LATER,
            Self::Client(
                ClientError::Unreachable { .. }
                | ClientError::BrokeOff { .. }
                | ClientError::Status { .. }
                | ClientError::NoAddress,
            ) => UNAVAILABLE,
            Self::Account(_) | Self::NoToken(_) => NO_USER,
            Self::Argument { .. } => USAGE,
            Self::Store(_) => IO,
            Self::System(_) => OS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::ErrorKind::{
        AlreadyExists, IsADirectory, NotFound, PermissionDenied, QuotaExceeded, StorageFull,
    };
    use rustix::io::Errno;
    use std::path::Path;

    #[test]
    fn what_may_pass_is_tried_again_and_what_a_person_must_put_right_is_not() {
        let errors: [(io::Error, u8); 11] = [
            (StorageFull.into(), IO),
            (QuotaExceeded.into(), IO),
            (Errno::IO.into(), IO),
            (Errno::MFILE.into(), IO),
            (Errno::NFILE.into(), IO),
            (Errno::NOTDIR.into(), CANNOT_CREATE),
            (Errno::ROFS.into(), CANNOT_CREATE),
            (Errno::NAMETOOLONG.into(), CANNOT_CREATE),
            (NotFound.into(), CANNOT_CREATE),
            (IsADirectory.into(), CANNOT_CREATE),
            (PermissionDenied.into(), NO_PERMISSION),
        ];
        for (error, code) in errors {
            let said = error.to_string();
            assert_eq!(of_file(&error, CANNOT_CREATE), code, "{said}");
            assert_eq!(of_open(&OpenError::of(Path::new("o.db"), error)), code, "{said}");
        }
        assert_eq!(of_file(&AlreadyExists.into(), CANNOT_CREATE), CANNOT_CREATE);
        assert_eq!(of_file(&NotFound.into(), NO_INPUT), NO_INPUT);
    }
}

//! Who is asking: accounts, and the bearer tokens that stand for them.

mod directory;
mod provision;
pub mod settings_file;
mod token;
pub mod workload;

pub use directory::{Directory, Identity, PublishingStore};
pub use provision::{Configured, ConfiguredToken, Provisioned, TokensError, provision};
pub use token::BearerToken;

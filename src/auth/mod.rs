//! Who is asking: accounts, and the bearer tokens that stand for them.

mod directory;
pub mod outbound;
mod provision;
pub mod seal;
pub mod sign_in;
mod token;

pub use directory::{Directory, Identity, PublishingStore};
pub use provision::{Configured, ConfiguredToken, Provisioned, TokensError, provision};
pub use token::BearerToken;

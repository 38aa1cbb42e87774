//! Who is asking: accounts, and the bearer tokens that stand for them.

pub mod address;
mod bucket;
pub mod device;
mod directory;
mod gate;
mod identity;
pub mod outbound;
mod provision;
mod publishing;
pub mod seal;
mod secret_file;
pub mod settings_file;
pub mod sign_in;
pub mod throttle;
mod token;
pub mod web_origin;
pub mod workload;

pub use directory::{Directory, NotAuthenticated};
pub use gate::Gate;
pub use identity::{Denied, Identity};
pub use provision::{Configured, ConfiguredToken, OnDisk, Provisioned, TokensError, provision};
pub use publishing::PublishingStore;
pub use token::BearerToken;

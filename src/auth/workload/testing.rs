//! What the tests of this module and the integration tests share: signers of tokens.

#[path = "../../../tests/common/jwt.rs"]
mod jwt;

pub use jwt::*;

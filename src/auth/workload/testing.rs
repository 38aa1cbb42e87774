//! What the tests of this module share: signers of tokens, and issuers that need no network.

#[path = "../../../tests/common/jwt.rs"]
mod jwt;

pub use jwt::*;

use super::keys::Fetch;
use openidconnect::url::Url;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};
use tokio::sync::Semaphore;

/// The same signer each time, for where it does not matter which.
pub fn signer() -> &'static Signer {
    static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("ES256", "k"));
    &SIGNER
}

/// Documents at their URLs, and who asked for which.
#[derive(Clone)]
pub struct Web(Arc<Inner>);

struct Inner {
    documents: Mutex<HashMap<String, Value>>,
    asked: Mutex<Vec<String>>,
    /// One permit an answer, while it is held back.
    permits: Semaphore,
}

/// As good as without a bound.
const ALL: usize = 1_000_000;

impl Web {
    /// The web of one issuer, with these keys.
    pub fn of(issuer: &str, keys: &[Value]) -> Self {
        let inner = Inner {
            documents: Mutex::default(),
            asked: Mutex::default(),
            permits: Semaphore::new(ALL),
        };
        let web = Self(Arc::new(inner));
        let discovery = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/jwks") });
        web.put(&format!("{issuer}/.well-known/openid-configuration"), discovery);
        web.put(&format!("{issuer}/jwks"), json!({ "keys": keys }));
        web
    }

    /// From now on there is this.
    pub fn put(&self, url: &str, document: Value) {
        self.0.documents.lock().unwrap().insert(url.to_owned(), document);
    }

    /// From now on there is nothing any more.
    pub fn fall_silent(&self) {
        self.0.documents.lock().unwrap().clear();
    }

    /// From now on nobody gets an answer until [`Web::answer_again`].
    pub fn hold_back(&self) {
        self.0.permits.forget_permits(ALL);
    }

    /// Everybody gets an answer.
    pub fn answer_again(&self) {
        self.0.permits.add_permits(ALL);
    }

    /// How often keys were asked for.
    pub fn asked_for_keys(&self) -> usize {
        self.0.asked.lock().unwrap().iter().filter(|url| !url.contains(".well-known")).count()
    }
}

impl Fetch for Web {
    type Error = &'static str;

    async fn get_json(&self, url: &Url) -> Result<Value, &'static str> {
        self.0.asked.lock().unwrap().push(url.to_string());
        self.0.permits.acquire().await.unwrap().forget();
        self.0.documents.lock().unwrap().get(url.as_str()).cloned().ok_or("nothing is there")
    }
}

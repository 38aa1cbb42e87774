//! A terminal that signs in, and its user's way through the pages.

use super::{Answer, Client, Server, browser::Browser};
use serde_json::Value;

/// A terminal that waits to be let in.
#[derive(Clone, Debug)]
pub struct Terminal {
    pub device_code: String,
    pub user_code: String,
    /// What it was answered.
    pub body: Value,
}

/// Posts a form, as nobody in particular.
pub fn post(server: &Server, path: &str, form: &[(&str, &str)]) -> Answer {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    Client::anonymous(&server.address).send("POST", path, form.as_bytes())
}

impl Terminal {
    /// Begins to wait.
    pub fn begin(server: &Server, form: &[(&str, &str)]) -> Self {
        let body = post(server, "/auth/device/code", form).ok();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self { device_code: text("device_code"), user_code: text("user_code"), body }
    }

    /// Asks whether it is let in.
    pub fn poll(&self, server: &Server) -> Answer {
        let form = [("grant_type", GRANT), ("device_code", &*self.device_code)];
        post(server, "/auth/token", &form)
    }

    /// Checks that it is answered this word of OAuth.
    pub fn is_told(&self, server: &Server, word: &str) {
        let answer = self.poll(server);
        is_oauth_error(&answer, 400, word);
    }

    /// Its user follows its link to a provider, signs in, and is asked.
    pub fn signed_in(&self, server: &Server, browser: &mut Browser, provider: &str) -> Asked {
        let page = browser.sign_in(server, &format!("{provider}?user_code={}", self.user_code));
        assert_eq!(page.status, 200, "{}", page.text());
        let text = page.text();
        assert!(text.contains(&self.user_code), "{text}");
        let (_, rest) = text.split_once("name=\"ticket\" value=\"").unwrap();
        Asked { ticket: rest.split_once('"').unwrap().0.to_owned(), page }
    }
}

/// The grant of RFC 8628.
pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The page that asks whether a terminal may act as somebody.
#[derive(Clone, Debug)]
pub struct Asked {
    pub ticket: String,
    pub page: Answer,
}

impl Asked {
    /// Answers it.
    pub fn answer(&self, server: &Server, browser: &mut Browser, decision: &str) -> Answer {
        let form = [("ticket", &*self.ticket), ("decision", decision)];
        browser.post(server, "/auth/device/confirm", &form)
    }
}

/// Checks that this is a refusal in the form of RFC 6749, section 5.2.
pub fn is_oauth_error(answer: &Answer, status: u16, word: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!((&body["error"], &body["code"]), (&word.into(), &word.into()), "{body}");
    assert!(body["error_description"].as_str().unwrap().len() > 3, "{body}");
    assert_eq!(answer.header("x-request-id"), body["request_id"].as_str());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
}

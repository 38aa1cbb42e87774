//! One answer, and what can be asked of it.

use serde_json::Value;

/// An HTTP answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The JSON of a success.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// Checks that this is the refusal `code` with `status`, in the form of every error.
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        let error = body["error"].as_str().unwrap();
        assert!(error.len() > 3, "no sentence: {body}");
        assert!(body.get("details").is_none_or(Value::is_string), "details are text: {body}");
        let id = body["request_id"].as_str().unwrap();
        assert_eq!(self.header("x-request-id"), Some(id), "{self:?}");
        body
    }

    /// The lease id of a success.
    pub fn lease(&self) -> String {
        self.ok()["lease_id"].as_str().unwrap().to_owned()
    }

    /// The fencing token of a success.
    pub fn token(&self) -> u64 {
        self.ok()["fencing_token"].as_u64().unwrap()
    }
}

/// RFC 3339 in UTC with `Z` and milliseconds.
pub fn is_stamp(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let form: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    form == "0000-00-00T00:00:00.000Z" && text.parse::<jiff::Timestamp>().is_ok()
}

/// A UUID, lower case and hyphenated.
pub fn is_uuid(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    uuid::Uuid::parse_str(text).is_ok_and(|uuid| uuid.hyphenated().to_string() == text)
}

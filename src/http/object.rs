//! JSON objects, written field by field: the bodies of whatever is asked most often.
//!
//! serde looks at each byte of each key, for what has to be escaped. Keys here are ours, and of most
//! values it is known what they are made of: that is a tenth of what answering a get costs.

use super::wire::Stamp;
use uuid::Uuid;

/// Room for most bodies.
pub const USUAL_LENGTH: usize = 384;

/// A JSON object that is being written.
#[derive(Debug)]
pub struct Object(Vec<u8>);

/// What can stand in a field.
pub trait Value {
    /// Writes it behind `text`, which is JSON.
    fn write(self, text: &mut Vec<u8>);
}

impl Object {
    /// An object without fields.
    pub fn new() -> Self {
        let mut text = Vec::with_capacity(USUAL_LENGTH);
        text.push(b'{');
        Self(text)
    }

    /// The same with one more field. A key is made of lower-case letters and underscores.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Value) -> Self {
        debug_assert!(key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{key}");
        let text = &mut self.0;
        text.extend_from_slice(if text.len() > 1 { b",\"" } else { b"\"" });
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(b"\":");
        value.write(text);
        self
    }

    /// The same with one more field, if there is a value for it.
    #[must_use]
    pub fn with_some(self, key: &'static str, value: Option<impl Value>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The text of it.
    pub fn into_json(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

impl Value for Object {
    fn write(self, text: &mut Vec<u8>) {
        text.extend_from_slice(&self.into_json());
    }
}

/// A value that is JSON already.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(pub &'a str);

impl Value for Json<'_> {
    fn write(self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.0.as_bytes());
    }
}

impl Value for &str {
    fn write(self, text: &mut Vec<u8>) {
        // All are looked at, so that the compiler can look at many at a time.
        let must_be_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        if self.bytes().fold(false, |any, byte| any | must_be_escaped(byte)) {
            let written = serde_json::to_writer(text, self);
            debug_assert!(written.is_ok(), "text can be written to memory");
        } else {
            text.push(b'"');
            text.extend_from_slice(self.as_bytes());
            text.push(b'"');
        }
    }
}

impl Value for bool {
    fn write(self, text: &mut Vec<u8>) {
        text.extend_from_slice(if self { b"true" } else { b"false" });
    }
}

impl Value for u64 {
    fn write(self, text: &mut Vec<u8>) {
        text.extend_from_slice(itoa::Buffer::new().format(self).as_bytes());
    }
}

impl Value for u32 {
    fn write(self, text: &mut Vec<u8>) {
        u64::from(self).write(text);
    }
}

impl Value for Uuid {
    fn write(self, text: &mut Vec<u8>) {
        let mut digits = [0; uuid::fmt::Hyphenated::LENGTH];
        text.push(b'"');
        text.extend_from_slice(self.hyphenated().encode_lower(&mut digits).as_bytes());
        text.push(b'"');
    }
}

impl Value for Stamp {
    fn write(self, text: &mut Vec<u8>) {
        text.push(b'"');
        text.extend_from_slice(self.text().as_bytes());
        text.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use octostore_actors::domain::values::WallTime;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(object: Object) -> serde_json::Value {
        serde_json::from_slice(&object.into_json()).unwrap()
    }

    #[test]
    fn an_object_has_its_fields_and_those_of_what_is_in_it() {
        assert_eq!(read(Object::new()), json!({}));
        let object = Object::new()
            .with("yes", true)
            .with_some("absent", None::<bool>)
            .with_some("present", Some(u64::MAX))
            .with("uuid", Uuid::from_bytes([0xab; 16]))
            .with("at", Stamp(WallTime::from_millis(0)))
            .with("inner", Object::new().with("no", false).with("small", 7_u32))
            .with("as_it_is", Json("[null]"));
        let expected = json!({
            "yes": true,
            "present": u64::MAX,
            "uuid": "abababab-abab-abab-abab-abababababab",
            "at": "1970-01-01T00:00:00.000Z",
            "inner": {"no": false, "small": 7},
            "as_it_is": [null],
        });
        assert_eq!(read(object), expected);
    }

    proptest! {
        #[test]
        fn text_is_written_as_serde_writes_it(text in any::<String>()) {
            let written = Object::new().with("text", &*text).into_json();
            prop_assert_eq!(written, serde_json::to_vec(&json!({ "text": text })).unwrap());
        }
    }

    #[test]
    fn every_character_that_must_be_escaped_is() {
        for character in (0_u8..128).map(char::from).chain(['\u{7f}', '\u{2028}', 'ä', '🔒']) {
            let text = format!("a{character}b");
            assert_eq!(read(Object::new().with("text", &*text)), json!({ "text": text }));
        }
    }
}

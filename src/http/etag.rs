//! Entity tags of config keys, and the conditions on them (RFC 9110, section 13.1).

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH},
};
use octostore_actors::domain::config::{Etag, Expected, Incarnation, Version};
use uuid::Uuid;

/// The tag as a header.
pub fn header(etag: Etag) -> Option<HeaderValue> {
    HeaderValue::try_from(text(etag)).ok()
}

/// The tag as text: `"<incarnation>-<version>"`.
fn text(etag: Etag) -> String {
    let incarnation = Uuid::from_bytes(etag.incarnation.0);
    format!("\"{}-{}\"", incarnation.simple(), etag.version.get())
}

/// What a write expects. `If-Match` comes first; `If-None-Match` is looked at without it.
pub fn expected(headers: &HeaderMap) -> Expected {
    match (Condition::of(headers, IF_MATCH), Condition::of(headers, IF_NONE_MATCH)) {
        // Both must hold: the key must be there, and must not.
        (Some(_), Some(Condition::Any | Condition::Unclear)) | (Some(Condition::Unclear), _) => {
            Expected::OneOf(Vec::new())
        }
        (Some(Condition::Tags(tags)), Some(Condition::Tags(others))) => {
            let others = weak(others);
            Expected::OneOf(strong(tags).into_iter().filter(|tag| !others.contains(tag)).collect())
        }
        // There is no word for one that is there, and is none of these.
        (Some(Condition::Any), Some(Condition::Tags(_))) => Expected::OneOf(Vec::new()),
        (Some(Condition::Any), None) => Expected::Something,
        (Some(Condition::Tags(tags)), None) => Expected::OneOf(strong(tags)),
        (None, Some(Condition::Any | Condition::Unclear)) => Expected::Nothing,
        (None, Some(Condition::Tags(tags))) => Expected::NoneOf(weak(tags)),
        (None, None) => Expected::Anything,
    }
}

/// Whether the reader has this state already (`If-None-Match`).
pub fn is_known(headers: &HeaderMap, etag: Etag) -> bool {
    match Condition::of(headers, IF_NONE_MATCH) {
        Some(Condition::Any) => true,
        Some(Condition::Tags(tags)) => weak(tags).contains(&etag),
        Some(Condition::Unclear) | None => false,
    }
}

/// What one of the two headers says.
enum Condition {
    /// `*`
    Any,
    /// Any of these.
    Tags(Vec<Tag>),
    /// Neither a star nor tags. Whoever sends that wants a condition, so nothing that is there is overwritten.
    Unclear,
}

/// A tag of ours, sent back.
struct Tag {
    etag: Etag,
    weak: bool,
}

impl Condition {
    fn of(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        let mut values = headers.get_all(name).iter().peekable();
        values.peek()?;
        let all: Vec<&[u8]> = values.flat_map(|value| elements(value.as_bytes())).collect();
        Some(if all.is_empty() {
            Self::Unclear
        } else if all.iter().all(|element| *element == b"*") {
            Self::Any
        } else if all.iter().all(|element| is_tag(element)) {
            // A tag that is not ours names no state of any key of ours.
            let ours = |element: &&[u8]| Tag::parse(std::str::from_utf8(element).ok()?);
            Self::Tags(all.iter().filter_map(ours).collect())
        } else {
            Self::Unclear
        })
    }
}

/// The elements of a list (RFC 9110, section 5.6.1), the empty ones left out. A comma within quotes separates
/// nothing.
fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let parts = line.split(move |&byte| {
        is_quoted ^= byte == b'"';
        byte == b',' && !is_quoted
    });
    parts.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Whether it is an entity tag, of whomever (RFC 9110, section 8.8.3).
fn is_tag(element: &[u8]) -> bool {
    let opaque = element.strip_prefix(b"W/").unwrap_or(element);
    let inner = opaque.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.is_some_and(|inner| !inner.contains(&b'"'))
}

impl Tag {
    fn parse(text: &str) -> Option<Self> {
        let (weak, text) = match text.strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let opaque = text.strip_prefix('"')?.strip_suffix('"')?;
        let (incarnation, version) = opaque.split_once('-')?;
        let incarnation = Incarnation(Uuid::try_parse(incarnation).ok()?.into_bytes());
        let version = Version::new(version.parse().ok()?)?;
        let etag = Etag { incarnation, version };
        // Tags are compared character by character, and there are many ways to write a UUID.
        (text == self::text(etag)).then_some(Self { etag, weak })
    }
}

/// Those that may be compared strongly.
fn strong(tags: Vec<Tag>) -> Vec<Etag> {
    tags.into_iter().filter(|tag| !tag.weak).map(|tag| tag.etag).collect()
}

fn weak(tags: Vec<Tag>) -> Vec<Etag> {
    tags.into_iter().map(|tag| tag.etag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etag(version: u64) -> Etag {
        Etag { incarnation: Incarnation([7; 16]), version: Version::new(version).unwrap() }
    }

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_tag_that_is_sent_back_is_known_again() {
        let text = header(etag(3)).unwrap();
        let text = text.to_str().unwrap();
        assert_eq!(expected(&headers(IF_MATCH, text)), Expected::OneOf(vec![etag(3)]));
        let list = format!("\"foreign\", {text}");
        assert_eq!(expected(&headers(IF_MATCH, &list)), Expected::OneOf(vec![etag(3)]));
        assert!(is_known(&headers(IF_NONE_MATCH, &format!("W/{text}")), etag(3)));
        assert!(!is_known(&headers(IF_NONE_MATCH, text), etag(4)));
    }

    #[test]
    fn conditions_say_what_is_expected() {
        assert_eq!(expected(&HeaderMap::new()), Expected::Anything);
        assert_eq!(expected(&headers(IF_MATCH, "*")), Expected::Something);
        assert_eq!(expected(&headers(IF_NONE_MATCH, "*")), Expected::Nothing);
        assert_eq!(expected(&headers(IF_MATCH, "\"a,*,b\"")), Expected::OneOf(vec![]));
        assert_eq!(expected(&headers(IF_MATCH, "nonsense")), Expected::OneOf(vec![]));
        let weak = format!("W/{}", header(etag(1)).unwrap().to_str().unwrap());
        assert_eq!(expected(&headers(IF_MATCH, &weak)), Expected::OneOf(vec![]));
    }

    #[test]
    fn who_wants_a_condition_that_cannot_be_understood_overwrites_nothing() {
        let present = text(etag(3));
        for unclear in [
            "",
            ",",
            present.trim_matches('"'),
            "none",
            "W/",
            "\"",
            "*, \"a\"",
            "\"a\", *",
            "\"a\" \"b\"",
            &format!("{present}, none"),
        ] {
            let unclear = headers(IF_NONE_MATCH, unclear);
            assert_eq!(expected(&unclear), Expected::Nothing, "{unclear:?}");
            assert!(!is_known(&unclear, etag(3)), "{unclear:?}");
        }
        for star in ["*", "*, *", "*,", ",*", " * "] {
            assert_eq!(expected(&headers(IF_NONE_MATCH, star)), Expected::Nothing, "{star}");
        }
        let mut lines = headers(IF_NONE_MATCH, "*");
        lines.append(IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert_eq!(expected(&lines), Expected::Nothing);
        let mut lines = headers(IF_MATCH, "none");
        lines.append(IF_MATCH, HeaderValue::from_str(&present).unwrap());
        assert_eq!(expected(&lines), Expected::OneOf(vec![]));
    }

    #[test]
    fn tags_of_others_may_have_anything_in_them_but_quotes() {
        let present = text(etag(3));
        for others in ["\"*\"", "\"a,b\"", "\"\"", "W/\"x\"", "\"\u{e4}\""] {
            let list = format!("{others}, {present}");
            let value = HeaderValue::from_bytes(list.as_bytes()).unwrap();
            let list = HeaderMap::from_iter([(IF_NONE_MATCH, value)]);
            assert_eq!(expected(&list), Expected::NoneOf(vec![etag(3)]), "{others}");
            assert!(is_known(&list, etag(3)), "{others}");
        }
    }

    #[test]
    fn of_several_conditions_all_must_hold() {
        let both = |present: &str, absent: &str| {
            let mut all = headers(IF_MATCH, present);
            all.extend(headers(IF_NONE_MATCH, absent));
            expected(&all)
        };
        let list = format!("{}, {}", text(etag(1)), text(etag(2)));
        let (one, two) = (text(etag(1)), text(etag(2)));
        assert_eq!(both(&list, &one), Expected::OneOf(vec![etag(2)]));
        assert_eq!(both(&one, &list), Expected::OneOf(vec![]));
        assert_eq!(both(&list, "*"), Expected::OneOf(vec![]), "it is there, and is not");
        assert_eq!(both("*", "*"), Expected::OneOf(vec![]));
        assert_eq!(both("*", &one), Expected::OneOf(vec![]), "refused rather than overwritten");
        // One list may come in several lines.
        let mut lines = headers(IF_MATCH, &one);
        lines.append(IF_MATCH, HeaderValue::from_str(&two).unwrap());
        assert_eq!(expected(&lines), Expected::OneOf(vec![etag(1), etag(2)]));
    }
}

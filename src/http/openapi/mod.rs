//! What this server says of itself: the OpenAPI document, as YAML and as JSON.
//!
//! It is written by hand in this folder, a piece a domain, and put together by `build.rs`. The
//! integration tests hold it against the router and against every answer that they get.

use super::{
    Context, Reply,
    static_file::{StaticFile, answer},
};
use std::sync::LazyLock;

/// A form of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/openapi.yaml`.
    Yaml,
    /// `/openapi.json`.
    Json,
}

/// `GET /openapi.yaml`, `GET /openapi.json`
pub fn document(context: &Context<'_>, form: Form) -> Reply {
    match form {
        Form::Yaml => answer(context, &YAML),
        Form::Json => answer(context, &JSON),
    }
}

/// Its media type is that of RFC 9512.
static YAML: LazyLock<StaticFile> = LazyLock::new(|| {
    let text = include_str!(concat!(env!("OUT_DIR"), "/openapi.yaml"));
    StaticFile::new("application/yaml", text)
});

static JSON: LazyLock<StaticFile> = LazyLock::new(|| {
    let text = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));
    StaticFile::new("application/json", text)
});

#[cfg(test)]
mod tests {
    use crate::http::router::Resource;
    use octostore_actors::domain::account::scope::Area;
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};

    fn document() -> Value {
        serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/openapi.json"))).unwrap()
    }

    /// The documented methods of each path, parameters as `{}`. Where there is `GET` there is `HEAD`,
    /// except where asking for the head alone would use something up, or do all the work.
    fn documented() -> BTreeMap<String, BTreeSet<String>> {
        let document = document();
        let paths = document["paths"].as_object().unwrap().iter();
        let all = paths.map(|(template, path)| {
            let methods = path.as_object().unwrap().keys().filter(|key| *key != "parameters");
            let mut methods: BTreeSet<_> = methods.map(|method| method.to_uppercase()).collect();
            let headless = template.ends_with("/callback") || template.as_str() == "/admin/backup";
            if methods.contains("GET") && !headless {
                methods.insert("HEAD".to_owned());
            }
            let named =
                |segment: &str| if segment.starts_with('{') { "{}" } else { segment }.to_owned();
            (template.split('/').map(named).collect::<Vec<_>>().join("/"), methods)
        });
        all.collect()
    }

    /// The words of the router's own source: what a segment of a path can be. `{}` is a name.
    fn words() -> BTreeSet<&'static str> {
        let source = include_str!("../router.rs");
        let quoted = source.split('"').skip(1).step_by(2);
        let is_word = |word: &&str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b".-".contains(&b))
        };
        quoted.filter(is_word).chain(["{}"]).collect()
    }

    #[test]
    fn the_document_and_the_router_name_the_same_paths_and_methods() {
        let words: Vec<_> = words().into_iter().collect();
        let mut answered = BTreeMap::new();
        // Every path that can be made of those words, up to the longest that the router looks at.
        let mut paths = vec![String::new()];
        for _ in 0..4 {
            let longer = |path: &String| {
                words.iter().map(|word| format!("{path}/{word}")).collect::<Vec<_>>()
            };
            paths = paths.iter().filter(|path| may_go_on(path)).flat_map(longer).collect();
            for path in &paths {
                if let Some(resource) = Resource::of(path) {
                    let methods = resource.methods().iter().map(|&method| method.to_owned());
                    answered.insert(path.clone(), methods.collect::<BTreeSet<_>>());
                }
            }
        }
        let root = Resource::of("/").unwrap().methods().iter().map(|&method| method.to_owned());
        answered.insert("/".to_owned(), root.collect());
        let documented = documented();
        answered.retain(|path, _| !is_an_instance(path, &documented));
        assert_eq!(answered, documented);
    }

    #[test]
    fn the_document_knows_every_scope_alone_in_a_list_and_in_a_text() {
        let mut document = document();
        let schemas = document["components"]["schemas"].take();
        let scopes = &schemas["CreateTokenRequest"]["properties"]["scopes"]["oneOf"];
        let is_of = |schema: &Value, text: &str| jsonschema::is_valid(schema, &text.into());
        for area in Area::ALL {
            let area = area.as_str();
            for grant in [area.to_owned(), format!("{area}:read"), format!("{area}:write:a/")] {
                assert!(is_of(&schemas["Grant"], &grant), "{grant}");
                assert!(is_of(&scopes[1], &format!(" {grant} locks:read:b  flags")), "{grant}");
            }
        }
        for wrong in ["", "admin", "admin.backups", "locks:all", "locks:read: a"] {
            assert!(!is_of(&schemas["Grant"], wrong) && !is_of(&scopes[1], wrong), "{wrong}");
        }
    }

    /// Whether it is a documented path with a word of the router for a name, as `/locks/tokens` is.
    fn is_an_instance(path: &str, documented: &BTreeMap<String, BTreeSet<String>>) -> bool {
        let segments: Vec<_> = path.split('/').collect();
        (1..segments.len()).filter(|&at| segments[at] != "{}").any(|at| {
            let mut general = segments.clone();
            general[at] = "{}";
            let general = general.join("/");
            let quoted = |word: &str| format!("{word:?}");
            let named = |path: &str| Resource::of(path).map(|resource| format!("{resource:?}"));
            let renamed =
                named(path).map(|text| text.replace(&quoted(segments[at]), &quoted("{}")));
            documented.contains_key(&general)
                && !documented.contains_key(path)
                && renamed == named(&general)
        })
    }

    /// Whether anything can begin like this: the first segment of a path is never a name.
    fn may_go_on(path: &str) -> bool {
        !path.starts_with("/{}")
    }

    #[test]
    fn it_says_which_version_this_is() {
        assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}

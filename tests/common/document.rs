//! The OpenAPI document, and what it says of an answer. Every answer that a test gets is held
//! against it ([`check`]): its path, method, status, headers, media type and body must be
//! documented. What was seen is kept for each thread ([`seen`]).

use super::{Answer, asked::Request};
use jsonschema::Validator;
use serde_json::{Map, Value, json, value::RawValue};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, LazyLock, Mutex},
};

/// The document, with its references.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/openapi.json"))).unwrap()
});

/// The same, so strict that no object may have a field that is not documented.
static STRICT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = DOCUMENT.clone();
    forbid_more(&mut document);
    document
});

/// One kind of answer: to what it is one, and its error code, or else nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub method: String,
    pub template: String,
    pub status: String,
    pub media: String,
    pub code: String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, template, status, media, code } = self;
        write!(f, "{method} {template} {status} {media} {code}")
    }
}

thread_local! {
    static SEEN: RefCell<BTreeSet<Kind>> = const { RefCell::new(BTreeSet::new()) };
}

/// The kinds of answers that this thread has seen.
pub fn seen() -> BTreeSet<Kind> {
    SEEN.with_borrow(Clone::clone)
}

/// Keeps what another thread has seen for the same test.
pub fn keep_all(kinds: BTreeSet<Kind>) {
    SEEN.with_borrow_mut(|seen| seen.extend(kinds));
}

/// A documented operation.
#[derive(Clone, Debug)]
pub struct Operation {
    pub method: String,
    pub template: String,
    pub document: &'static Value,
}

/// All of them, in the order of the document.
pub fn operations() -> Vec<Operation> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(template, path)| {
        path.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters").map(
            move |(method, document)| Operation {
                method: method.to_uppercase(),
                template: template.clone(),
                document,
            },
        )
    });
    all.collect()
}

impl Operation {
    /// Its parameters, those of its path too.
    pub fn parameters(&self) -> Vec<&'static Value> {
        let of_path = &DOCUMENT["paths"][&self.template]["parameters"];
        let lists = [of_path, &self.document["parameters"]];
        lists.iter().filter_map(|list| list.as_array()).flatten().map(resolved).collect()
    }

    /// Its path with the documented examples for names.
    pub fn path(&self) -> String {
        self.parameters().iter().filter(|parameter| parameter["in"] == "path").fold(
            self.template.clone(),
            |path, parameter| {
                let name = parameter["name"].as_str().unwrap();
                path.replace(&format!("{{{name}}}"), parameter["example"].as_str().unwrap())
            },
        )
    }

    /// The headers that it must have, with the documented examples.
    pub fn required_headers(&self) -> Vec<(&'static str, &'static str)> {
        let all = self.parameters().into_iter();
        let required = all.filter(|one| one["in"] == "header" && one["required"] == true);
        required
            .map(|one| (one["name"].as_str().unwrap(), one["example"].as_str().unwrap()))
            .collect()
    }

    /// Whether it is for administrators.
    pub fn is_administration(&self) -> bool {
        let ways = self.document["security"].as_array();
        ways.is_some_and(|ways| ways.iter().any(|way| way["adminKey"].is_array()))
    }

    /// Whether it wants a token.
    pub fn is_secured(&self) -> bool {
        self.document["security"].as_array().is_none_or(|ways| !ways.is_empty())
    }

    /// The kinds of answers that are documented for it.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for (status, response) in self.document["responses"].as_object().unwrap() {
            let mut kind = |media: &str, code: &str| {
                kinds.push(Kind {
                    method: self.method.clone(),
                    template: self.template.clone(),
                    status: status.clone(),
                    media: media.to_owned(),
                    code: code.to_owned(),
                });
            };
            match resolved(response)["content"].as_object() {
                None => kind("", ""),
                Some(content) => content.iter().for_each(|(media, content)| {
                    codes(&content["schema"]).iter().for_each(|code| kind(media, code));
                }),
            }
        }
        kinds
    }
}

/// What a reference of the document refers to, or the value itself.
pub fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

/// The codes that an answer of this schema can have; of one without, the empty one.
fn codes(schema: &'static Value) -> Vec<&'static str> {
    let schema = resolved(schema);
    let parts = schema["allOf"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let code = parts.chain([schema]).map(|part| &part["properties"]["code"]).find_map(|code| {
        let one = code["const"].as_str().map(|one| vec![one]);
        one.or_else(|| Some(code["enum"].as_array()?.iter().filter_map(Value::as_str).collect()))
    });
    code.unwrap_or_else(|| vec![""])
}

/// Checks an answer against the document, and keeps what kind it is.
///
/// # Panics
/// It is not documented.
pub fn check(request: Option<&Request>, answer: &Answer, has_body: bool) {
    // An interim answer is not the answer.
    if answer.status < 200 {
        return;
    }
    let asked = request.map(|request| (request, operation(request)));
    let found = asked.as_ref().and_then(|(request, found)| {
        let (template, method) = found.as_ref()?;
        let pointer = format!("/paths/{}/{method}/responses", escaped(template));
        Some((request, template, format!("{pointer}/{}", answer.status)))
    });
    let documented = found.filter(|(.., pointer)| STRICT.pointer(pointer).is_some());
    let anyway = format!("/x-any-request/{}", answer.status);
    let shown = request.map(|request| format!("{} {}", request.method, request.target));
    let wrong =
        |why: &str| panic!("{shown:?} is answered what is not documented: {why}: {answer:?}");
    let mut failed = None;
    let pointers = documented.iter().map(|(.., pointer)| pointer.clone()).chain([anyway]);
    for pointer in pointers.filter(|pointer| STRICT.pointer(pointer).is_some()) {
        match validate(&pointer, answer, has_body) {
            Ok(code) => {
                if let Some((request, template, own)) = &documented
                    && *own == pointer
                    && request.method != "HEAD"
                {
                    keep(request, template, answer, code);
                }
                return;
            }
            Err(why) => failed = failed.or(Some(why)),
        }
    }
    wrong(failed.as_deref().unwrap_or("the path, the method or the status"));
}

fn keep(request: &Request, template: &str, answer: &Answer, code: String) {
    let kind = Kind {
        method: request.method.clone(),
        template: template.to_owned(),
        status: answer.status.to_string(),
        media: media(answer),
        code,
    };
    SEEN.with_borrow_mut(|seen| seen.insert(kind));
}

/// The template and the method, as the document writes it, of a request.
fn operation(request: &Request) -> Option<(String, String)> {
    let path = request.target.split('?').next().unwrap();
    let paths = STRICT["paths"].as_object().unwrap();
    let fits = |template: &&String| {
        let (mut wanted, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given)) if wanted == given || wanted.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    let template = paths.keys().find(fits)?;
    let method = match &*request.method {
        "HEAD" => "get".to_owned(),
        method => method.to_ascii_lowercase(),
    };
    Some((template.clone(), method))
}

/// Holds an answer against the response at `pointer`. Returns its code.
fn validate(pointer: &str, answer: &Answer, has_body: bool) -> Result<String, String> {
    let response = STRICT.pointer(pointer).unwrap();
    let (response, pointer) = match response["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap();
            (STRICT.pointer(pointer).unwrap(), pointer.to_owned())
        }
        None => (response, pointer.to_owned()),
    };
    headers(response, answer)?;
    let Some(content) = response["content"].as_object() else {
        return if answer.body.is_empty() {
            Ok(String::new())
        } else {
            Err("it has a body".into())
        };
    };
    let media = media(answer);
    if !content.contains_key(&media) {
        return Err(format!("its media type {media:?}"));
    }
    if !has_body {
        return Ok(String::new());
    }
    if media == "application/vnd.sqlite3" {
        return Ok(String::new());
    }
    let text = || String::from_utf8(answer.body.clone()).map_err(|error| error.to_string());
    let body = match &*media {
        "application/json" => match serde_json::from_slice(&answer.body) {
            Ok(body) => body,
            // A config value may be deeper, larger or odder than what this reader takes of JSON.
            Err(_) if serde_json::from_slice::<&RawValue>(&answer.body).is_ok() => {
                return Ok(String::new());
            }
            Err(error) => return Err(error.to_string()),
        },
        _ => Value::String(text()?),
    };
    conforms(&format!("{pointer}/content/{}/schema", escaped(&media)), &body)?;
    if media == "application/x-ndjson" {
        // A log may be long, and its lines are alike.
        for line in text()?.lines().take(200) {
            let entry = serde_json::from_str(line).map_err(|error| error.to_string())?;
            conforms("/components/schemas/AuditEntry", &entry)?;
        }
    }
    Ok(body["code"].as_str().unwrap_or_default().to_owned())
}

/// What every answer has, or what is between two machines only.
const OF_HTTP: [&str; 5] =
    ["connection", "content-length", "content-type", "date", "transfer-encoding"];

fn headers(response: &Value, answer: &Answer) -> Result<(), String> {
    let none = Map::new();
    let documented = response["headers"].as_object().unwrap_or(&none);
    for (name, value) in &answer.headers {
        if OF_HTTP.contains(&&*name.to_ascii_lowercase()) {
            continue;
        }
        let known = documented.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, header) = known.ok_or_else(|| format!("the header {name}"))?;
        let header = match header["$ref"].as_str() {
            Some(reference) => STRICT.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => header,
        };
        let value = match (&header["schema"]["type"], value.parse::<u64>()) {
            (Value::String(integer), Ok(number)) if integer == "integer" => json!(number),
            _ => json!(value),
        };
        matches(&header["schema"], &value).map_err(|why| format!("the header {name}: {why}"))?;
    }
    for (name, header) in documented {
        let header = match header["$ref"].as_str() {
            Some(reference) => STRICT.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => header,
        };
        if header["required"] == true && answer.header(name).is_none() {
            return Err(format!("the header {name} is not there"));
        }
    }
    Ok(())
}

/// Whether a value conforms to the schema at `pointer` of the document.
fn conforms(pointer: &str, value: &Value) -> Result<(), String> {
    matches(STRICT.pointer(pointer).unwrap(), value)
}

/// Whether a value conforms to a schema that may refer to others of the document.
pub fn matches(schema: &Value, value: &Value) -> Result<(), String> {
    static COMPILED: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> =
        LazyLock::new(Mutex::default);
    let key = schema.to_string();
    let known = COMPILED.lock().unwrap().get(&key).cloned();
    let validator = known.unwrap_or_else(|| {
        // Schemas refer to other schemas and to nothing else of the document.
        let mut root = schema.clone();
        root["components"] = json!({ "schemas": STRICT["components"]["schemas"] });
        let compiled =
            jsonschema::draft202012::options().should_validate_formats(true).build(&root);
        let compiled = Arc::new(compiled.unwrap_or_else(|error| panic!("{schema}: {error}")));
        COMPILED.lock().unwrap().insert(key, Arc::clone(&compiled));
        compiled
    });
    let mut errors = validator.iter_errors(value);
    errors.next().map_or(Ok(()), |error| Err(format!("{error} at {}", error.instance_path())))
}

/// The media type of an answer, without its parameters.
fn media(answer: &Answer) -> String {
    let full = answer.header("content-type").unwrap_or_default();
    full.split(';').next().unwrap().trim().to_owned()
}

/// As it stands in a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Forbids fields that are not documented in every object schema below.
fn forbid_more(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("type") == Some(&json!("object"))
                && object.contains_key("properties")
                && !object.contains_key("additionalProperties")
            {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(forbid_more);
        }
        Value::Array(list) => list.iter_mut().for_each(forbid_more),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

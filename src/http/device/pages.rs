//! What the pages of the device flow say.

use crate::{
    auth::{
        address::Address,
        device::Waiting,
        sign_in::{Person, ProviderId},
    },
    http::{
        Reply,
        pages::{Text, page},
    },
};
use hyper::{StatusCode, header::RETRY_AFTER};
use octostore_actors::domain::account::scope::{Access, Area, Grant, Scope};
use std::time::Duration;

/// Why somebody is to type a code again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// No terminal waits with it.
    Unknown,
    /// Too many codes were wrong: how long to wait.
    TooMany(Duration),
}

/// Where a code is typed.
pub fn enter(again: Option<Again>) -> Reply {
    let (status, note) = match again {
        None => (StatusCode::OK, ""),
        Some(Again::Unknown) => (
            StatusCode::NOT_FOUND,
            "<p class=\"warn\" role=\"alert\">No terminal waits with that code: it is mistyped, was \
             used already, or took too long. Look at your terminal, or start again there.</p>\n",
        ),
        Some(Again::TooMany(_)) => (
            StatusCode::TOO_MANY_REQUESTS,
            "<p class=\"warn\" role=\"alert\">Too many wrong codes came from your address. Wait a \
             minute, then try again.</p>\n",
        ),
    };
    let main = format!(
        "{note}<form method=\"get\" action=\"/auth/device\">\n\
         <label for=\"user_code\">The code that your terminal shows</label>\n\
         <input id=\"user_code\" name=\"user_code\" required autofocus autocomplete=\"off\" \
         autocapitalize=\"characters\" spellcheck=\"false\" maxlength=\"32\" \
         placeholder=\"XXXX-XXXX\">\n\
         <div class=\"do\"><button class=\"go\">Continue</button></div>\n</form>\n"
    );
    let mut reply = page(status, "Sign in from a terminal", &main);
    if let Some(Again::TooMany(wait)) = again {
        reply.headers_mut().insert(RETRY_AFTER, (wait.as_secs() + 1).into());
    }
    reply
}

/// What asks to be let in, and the ways to sign in for it.
pub fn review<'a>(waiting: &Waiting, providers: impl Iterator<Item = &'a ProviderId>) -> Reply {
    let code = waiting.user_code;
    let links: String = providers
        .map(|id| {
            let name = Text(provider_name(id));
            format!("<a class=\"button go\" href=\"/auth/{id}?user_code={code}\">Sign in with {name}</a>\n")
        })
        .collect();
    let main = format!(
        "<p class=\"code\">{code}</p>\n{}{}\
         <p>Sign in to decide. Nothing is allowed before you have confirmed it.</p>\n\
         <div class=\"do\">\n{links}</div>\n",
        facts(waiting),
        WARNING,
    );
    page(StatusCode::OK, "Is this your terminal?", &main)
}

/// Whether the terminal may act as the person who has signed in; `ticket` is for the answer.
pub fn confirm(waiting: &Waiting, person: &Person, provider: &ProviderId, ticket: &str) -> Reply {
    let main = format!(
        "<p>You are signed in as <b><bdi>{}</bdi></b> with {}. If you allow it, this terminal \
         acts as you.</p>\n<p class=\"code\">{}</p>\n{}{WARNING}\
         <form method=\"post\" action=\"/auth/device/confirm\">\n\
         <input type=\"hidden\" name=\"ticket\" value=\"{}\">\n<div class=\"do\">\n\
         <button class=\"go\" name=\"decision\" value=\"allow\">Allow</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button>\n</div>\n</form>\n",
        Text(&person.name),
        Text(provider_name(provider)),
        waiting.user_code,
        facts(waiting),
        Text(ticket),
    );
    page(StatusCode::OK, "Let this terminal in?", &main)
}

/// That the terminal is let in.
pub fn allowed(waiting: &Waiting) -> Reply {
    let main = format!(
        "<p>The terminal that shows <code>{}</code> gets its token now. \
         You can close this page.</p>\n",
        waiting.user_code
    );
    page(StatusCode::OK, "Your terminal is let in", &main)
}

/// That the terminal is not let in.
pub fn denied(waiting: &Waiting) -> Reply {
    let main = format!(
        "<p>The terminal that shows <code>{}</code> is told so, and gets nothing. You can close \
         this page.</p>\n",
        waiting.user_code
    );
    page(StatusCode::OK, "Not let in", &main)
}

/// That something did not work, and how to go on. `why` is a sentence.
pub fn failed(status: StatusCode, why: &str) -> Reply {
    let main = format!(
        "<p role=\"alert\">{}</p>\n\
         <div class=\"do\"><a class=\"button\" href=\"/auth/device\">Type a code</a></div>\n",
        Text(why)
    );
    page(status, "That did not work", &main)
}

/// RFC 8628, section 5.4: a code that somebody else sent lets somebody else in.
const WARNING: &str = "<p class=\"warn\">Go on only if you have just started this yourself, and your \
     own terminal shows this code. If somebody else gave it to you, you would let him in as \
     yourself.</p>\n";

/// What is known of a terminal, and what it wants.
fn facts(waiting: &Waiting) -> String {
    let asked = &waiting.asked;
    let label = match &asked.label {
        Some(label) => format!("<dt>It calls itself</dt>\n<dd><bdi>{}</bdi></dd>\n", Text(label)),
        None => String::new(),
    };
    let from = match asked.from {
        Address::Ip(ip) => ip.to_string(),
        Address::Local => "the machine of this server, or a proxy on it".to_owned(),
    };
    let wants = match &asked.scope {
        None | Some(Scope::Everything) => "Everything that your account may do".to_owned(),
        Some(Scope::Only(grants)) => {
            let items: String =
                grants.iter().map(|grant| format!("<li>{}</li>", in_words(grant))).collect();
            format!("<ul>{items}</ul>")
        }
    };
    format!(
        "<dl>\n{label}<dt>It asks from</dt>\n<dd>{from}</dd>\n\
         <dt>It wants to do</dt>\n<dd>{wants}</dd>\n</dl>\n"
    )
}

/// What a grant allows, as HTML.
fn in_words(grant: &Grant) -> String {
    let verb = match grant.access {
        Access::Read => "Read",
        Access::Write => "Change and read",
    };
    let what = match grant.area {
        Area::Locks => "locks",
        Area::Limits => "rate limits",
        Area::Flags => "feature flags",
        Area::Config => "configuration",
        Area::AdminAccounts => "the accounts of everybody (administration)",
        Area::AdminAccess => "which accounts are disabled (administration)",
        Area::AdminRoles => "who is an administrator (administration)",
        Area::AdminQuotas => "what accounts may have (administration)",
        Area::AdminLocks => "the locks of everybody (administration)",
        Area::AdminAudit => "the audit log (administration)",
        Area::AdminMetrics => "the metrics (administration)",
        Area::AdminBackup => "a copy of everything (administration)",
    };
    match grant.prefix.as_str() {
        "" => format!("{verb} {what}"),
        prefix => {
            format!("{verb} {what}, where the name begins with <code>{}</code>", Text(prefix))
        }
    }
}

/// How people call a provider.
fn provider_name(id: &ProviderId) -> &str {
    match id {
        ProviderId::GitHub => "GitHub",
        ProviderId::OpenId(name) => name,
    }
}

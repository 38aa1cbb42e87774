//! What a provider says of a person: in the ID token, and at its UserInfo endpoint where that is
//! not enough (OpenID Connect Core, sections 2 and 5).

use super::{SignInError, picture};
use octostore_actors::domain::values::AccountName;
use openidconnect::AdditionalClaims;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Claims by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Claims(Map<String, Value>);

impl AdditionalClaims for Claims {}

/// What is wanted of the claims, and who may enter by them.
#[derive(Debug)]
pub struct Wanted {
    /// The claim that names the account, if one is configured.
    pub name: Option<String>,
    /// The claim that lists the groups.
    pub groups: String,
    /// Who may enter, by group.
    pub allowed_groups: Option<Vec<String>>,
    /// Who may enter, by the domain of a verified e-mail address.
    pub allowed_domains: Option<Vec<String>>,
}

impl Claims {
    /// The claims in `value`; `None` if it is no object.
    pub fn of(value: Value) -> Option<Self> {
        match value {
            Value::Object(claims) => Some(Self(claims)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => None,
        }
    }

    /// What is in `more` and not here yet. Whether an address is verified is said of that address,
    /// and of no other.
    pub fn complete(&mut self, mut more: Self) {
        const VERIFIED: &str = "email_verified";
        let address = self.0.get("email");
        if address.is_none() {
            self.0.remove(VERIFIED);
        } else if more.0.get("email") != address {
            more.0.remove(VERIFIED);
        }
        for (name, value) in more.0 {
            self.0.entry(name).or_insert(value);
        }
    }

    /// A claim that is a text, and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// A picture of the person.
    pub fn picture(&self) -> Option<String> {
        self.text("picture").and_then(picture)
    }

    /// Whether they hold only from later than `now` on, in seconds since 1970 (RFC 7519, section
    /// 4.1.5). What is no time never comes.
    pub fn begins_after(&self, now: f64) -> bool {
        match self.0.get("nbf") {
            None | Some(Value::Null) => false,
            Some(from) => from.as_f64().is_none_or(|from| from > now),
        }
    }

    /// A claim that lists texts; a single text is a list of one.
    fn list(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            Some(value) => value.as_str().into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The domain of the e-mail address, if the provider has verified that.
    fn verified_domain(&self) -> Option<&str> {
        // Some providers write the boolean as a text.
        let verified = match self.0.get("email_verified")? {
            Value::Bool(verified) => *verified,
            Value::String(text) => text == "true",
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
        };
        let (_, domain) = self.text("email")?.rsplit_once('@')?;
        verified.then_some(domain)
    }
}

impl Wanted {
    /// Whether something is wanted that is not there, so that it pays to ask for more.
    pub fn is_lacking(&self, claims: &Claims) -> bool {
        let lacks = |name: &str| !claims.0.contains_key(name);
        lacks(self.name.as_deref().unwrap_or("preferred_username"))
            || self.allowed_groups.is_some() && lacks(&self.groups)
            || self.allowed_domains.is_some() && (lacks("email") || lacks("email_verified"))
    }

    /// Whether the person may enter.
    ///
    /// # Errors
    /// [`SignInError::NotAllowed`].
    pub fn admit(&self, claims: &Claims) -> Result<(), SignInError> {
        if let Some(allowed) = &self.allowed_groups {
            let groups = claims.list(&self.groups);
            if !allowed.iter().any(|group| groups.contains(&group.as_str())) {
                return Err(SignInError::NotAllowed("allowed_groups"));
            }
        }
        if let Some(allowed) = &self.allowed_domains {
            let domain = claims.verified_domain();
            let known = |domain: &str| allowed.iter().any(|one| one.eq_ignore_ascii_case(domain));
            if !domain.is_some_and(known) {
                return Err(SignInError::NotAllowed("allowed_domains"));
            }
        }
        Ok(())
    }

    /// How the account is called.
    ///
    /// # Errors
    /// [`SignInError::NoName`].
    pub fn account_name(&self, claims: &Claims) -> Result<AccountName, SignInError> {
        let possible = |claim: &str| AccountName::new(claims.text(claim)?).ok();
        let (name, claim) = match &self.name {
            Some(claim) => (possible(claim), claim.as_str()),
            None => {
                let claims = ["preferred_username", "email", "sub"];
                (claims.into_iter().find_map(possible), "sub")
            }
        };
        name.ok_or_else(|| SignInError::NoName(claim.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Claims {
        Claims::of(value).unwrap()
    }

    fn wanted() -> Wanted {
        Wanted {
            name: None,
            groups: "groups".to_owned(),
            allowed_groups: None,
            allowed_domains: None,
        }
    }

    #[test]
    fn the_account_is_named_by_the_first_claim_that_can() {
        let name = |wanted: &Wanted, value| {
            wanted.account_name(&claims(value)).map(|name| name.to_string()).ok()
        };
        let all = json!({"sub": "1", "email": "a@b", "preferred_username": "ann", "nick": "an"});
        assert_eq!(name(&wanted(), all.clone()).as_deref(), Some("ann"));
        let without = json!({"sub": "1", "email": "a@b", "preferred_username": ""});
        assert_eq!(name(&wanted(), without).as_deref(), Some("a@b"));
        let odd = json!({"sub": "1", "email": 7, "preferred_username": "a\nb"});
        assert_eq!(name(&wanted(), odd).as_deref(), Some("1"));
        let nick = Wanted { name: Some("nick".to_owned()), ..wanted() };
        assert_eq!(name(&nick, all).as_deref(), Some("an"));
        assert_eq!(name(&nick, json!({"sub": "1", "nick": ["an"]})), None, "and no other claim");
    }

    #[test]
    fn groups_are_a_list_or_one() {
        let wanted = Wanted {
            groups: "https://example.com/roles".to_owned(),
            allowed_groups: Some(vec!["ops".to_owned(), "dev".to_owned()]),
            ..wanted()
        };
        let admit = |roles| wanted.admit(&claims(json!({"https://example.com/roles": roles})));
        for good in [json!(["x", "ops"]), json!("dev")] {
            assert!(admit(good).is_ok());
        }
        for bad in [json!([]), json!("op"), json!(["OPS"]), json!([["ops"]]), json!({"ops": true})]
        {
            assert!(matches!(admit(bad), Err(SignInError::NotAllowed("allowed_groups"))));
        }
        assert!(wanted.admit(&claims(json!({"groups": ["ops"]}))).is_err(), "another claim");
    }

    #[test]
    fn only_a_verified_address_is_of_a_domain() {
        let wanted = Wanted { allowed_domains: Some(vec!["Example.com".to_owned()]), ..wanted() };
        let admit = |email: &str, verified: Value| {
            wanted.admit(&claims(json!({"email": email, "email_verified": verified}))).is_ok()
        };
        assert!(admit("a@example.com", json!(true)) && admit("a@EXAMPLE.com", json!("true")));
        for verified in [json!(false), json!("false"), json!(1), json!(null)] {
            assert!(!admit("a@example.com", verified.clone()), "{verified}");
        }
        for email in ["a@sub.example.com", "a@example.com.evil", "example.com", "a@example.com@e"] {
            assert!(!admit(email, json!(true)), "{email}");
        }
        assert!(wanted.admit(&claims(json!({"email": "a@example.com"}))).is_err());
    }

    #[test]
    fn what_is_said_of_one_address_is_not_believed_of_another() {
        let wanted = Wanted { allowed_domains: Some(vec!["example.com".to_owned()]), ..wanted() };
        let admit = |token: Value, more: Value| {
            let mut claims = claims(token);
            claims.complete(super::Claims::of(more).unwrap());
            wanted.admit(&claims).is_ok()
        };
        let (ours, theirs) = ("a@example.com", "a@elsewhere.example");
        let verified = |email| json!({ "email": email, "email_verified": true });
        assert!(admit(json!({ "email": ours }), verified(ours)));
        assert!(admit(json!({}), verified(ours)));
        assert!(!admit(json!({ "email": ours }), verified(theirs)));
        assert!(!admit(json!({ "email": ours }), json!({ "email_verified": true })));
        let of_ours = json!({ "email": ours, "email_verified": false });
        assert!(!admit(json!({ "email_verified": true }), of_ours));
        assert!(!admit(json!({ "email_verified": true }), json!({ "email": ours })));
        assert!(admit(verified(ours), verified(theirs)), "the ID token counts");
        assert!(!admit(verified(theirs), verified(ours)));
    }

    #[test]
    fn more_is_asked_for_only_if_something_is_lacking() {
        let token = claims(json!({"sub": "1", "preferred_username": "ann"}));
        assert!(!wanted().is_lacking(&token));
        assert!(wanted().is_lacking(&claims(json!({"sub": "1"}))));
        let strict = Wanted { allowed_groups: Some(vec!["a".to_owned()]), ..wanted() };
        assert!(strict.is_lacking(&token));
        let mut complete = token;
        complete.complete(claims(json!({"sub": "2", "groups": "a"})));
        assert!(!strict.is_lacking(&complete));
        assert_eq!(complete.text("sub"), Some("1"), "the ID token counts");
    }
}

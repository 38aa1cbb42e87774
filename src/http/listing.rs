//! Lists of names, with the wanted page of them on its way out a piece at a time.
//!
//! A page may be as large as a thousand of the largest items, and whoever does not read it shall cost no
//! more than whoever does not read one of them. So nothing is kept between two pieces: each asks the
//! actor for what comes next, and what has gone meanwhile is not shown.

use super::{
    Context, Reply,
    caller::no_longer,
    error::ApiError,
    json_body,
    object::{Object, Value},
    reply::{Pieces, ReplyBody},
};
use crate::{app::Service, auth::Identity};
use bytes::Bytes;
use hyper::StatusCode;
use octostore_actors::domain::{
    account::scope::Area,
    page::{Page, PageLimit, Selection},
    values::AccountId,
};
use std::{marker::PhantomData, sync::Arc, time::Duration};

/// How long an answer that has begun rests when the actor is too busy for it.
const PAUSE: Duration = Duration::from_millis(20);

/// How many items a piece behind the first asks for: about as many as there is room for.
const AT_ONCE: u16 = 100;

/// A domain whose names can be listed.
pub trait Listed: Send + 'static {
    /// What there is of one name.
    type Item: Send;

    /// The area that its scopes are of.
    const AREA: Area;

    /// What the array of items is called.
    const KEY: &'static str;

    /// Whether it is told how many there are on all pages together.
    const TELLS_TOTAL: bool;

    /// Asks for a page.
    fn page(
        service: &Service,
        account: AccountId,
        selection: Selection,
    ) -> impl Future<Output = Result<Page<Self::Item>, ApiError>> + Send;

    /// By what the list is sorted.
    fn name(item: &Self::Item) -> &str;

    /// How an item is shown.
    fn object(service: &Service, item: &Self::Item) -> Object;
}

/// `GET /locks`, `/limits`, `/flags`, `/config`
pub async fn list<L: Listed>(
    context: &Context<'_>,
    identity: &Identity,
) -> Result<Reply, ApiError> {
    let (account, selection) = context.visible(identity, L::AREA)?;
    let page = L::page(context.service, account, selection.clone()).await?;
    let listing = Listing {
        service: Arc::clone(context.service),
        identity: identity.clone(),
        account,
        left: selection,
        total: page.total,
        has_shown_any: false,
        of: PhantomData::<L>,
    };
    Ok(json_body(StatusCode::OK, listing.body(&page)))
}

/// What is still to be shown of a list.
struct Listing<L> {
    service: Arc<Service>,
    identity: Identity,
    account: AccountId,
    left: Selection,
    total: usize,
    has_shown_any: bool,
    of: PhantomData<L>,
}

impl<L: Listed> Listing<L> {
    /// All of it, in one piece if it is small.
    fn body(mut self, first: &Page<L::Item>) -> ReplyBody {
        let mut begin = Vec::new();
        begin.extend_from_slice(b"{\"");
        begin.extend_from_slice(L::KEY.as_bytes());
        begin.extend_from_slice(b"\":[");
        let (first, is_last) = self.show(begin, first);
        if is_last {
            return first.into();
        }
        ReplyBody::Pieces(Pieces::new(async move { Some(Ok((first, self.pieces()))) }))
    }

    fn pieces(mut self) -> Pieces {
        Pieces::new(async move {
            let few = PageLimit::new(self.left.limit.get().min(AT_ONCE));
            let next = Selection { limit: few.unwrap_or(self.left.limit), ..self.left.clone() };
            let ask = || L::page(&self.service, self.account, next.clone());
            let page = match once_more(&self.service, &self.identity, ask).await {
                Ok(page) => page,
                Err(error) => return Some(Err(error)),
            };
            let (piece, is_last) = self.show(Vec::new(), &page);
            Some(Ok((piece, if is_last { Pieces::none() } else { self.pieces() })))
        })
    }

    /// What there is room for of `page`, behind `piece`; and whether that was the last.
    fn show(&mut self, mut piece: Vec<u8>, page: &Page<L::Item>) -> (Bytes, bool) {
        let mut left = self.left.limit.get();
        for item in &page.items {
            if piece.len() >= Pieces::SIZE {
                break;
            }
            left -= 1;
            if self.has_shown_any {
                piece.push(b',');
            }
            self.has_shown_any = true;
            L::object(&self.service, item).write(&mut piece);
            self.left.after = Some(L::name(item).into());
        }
        let has_more = page
            .items
            .last()
            .is_some_and(|last| page.more || self.left.after.as_deref() != Some(L::name(last)));
        if let Some(left) = PageLimit::new(left).filter(|_| has_more) {
            self.left.limit = left;
            return (piece.into(), false);
        }
        piece.push(b']');
        if L::TELLS_TOTAL {
            piece.extend_from_slice(b",\"total\":");
            (self.total as u64).write(&mut piece);
        }
        if let Some(last) = page.last_if_more() {
            piece.extend_from_slice(b",\"next\":");
            L::name(last).write(&mut piece);
        }
        piece.push(b'}');
        (piece.into(), true)
    }
}

/// Asks once more, for an answer of `identity` that has begun and cannot be refused any more: it waits while
/// the actor is too busy, or what it sees is undone again and again because the disk is full.
///
/// # Errors
/// The token that was shown is good no more; and what `ask` says.
pub async fn once_more<T, Asked>(
    service: &Service,
    identity: &Identity,
    ask: impl Fn() -> Asked,
) -> Result<T, ApiError>
where
    Asked: Future<Output = Result<T, ApiError>>,
{
    loop {
        if !identity.is_current(service.calendar.wall()) {
            return Err(no_longer(service, identity));
        }
        match ask().await {
            Err(ApiError::Overloaded | ApiError::StoreFull) => tokio::time::sleep(PAUSE).await,
            told => return told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::{tests::Inside, token_path},
        http::config::Keys,
        ids,
    };
    use http_body_util::BodyExt;
    use octostore_actors::domain::{
        account::AccountCommand,
        audit::{AuditText, Provenance, Who},
        config::{ConfigCommand, ConfigKey, ConfigOutcome, Description, Expected, Value},
    };
    use serde_json::Value as Json;

    /// The administrator of the first start.
    fn admin(inside: &Inside) -> Identity {
        let token = token_path(&inside.folder().join("octostore.db"));
        let token = std::fs::read_to_string(token).unwrap();
        let (directory, calendar) = (&inside.service.directory, &inside.service.calendar);
        directory.authenticate(token.trim().as_bytes(), calendar.wall()).unwrap()
    }

    fn by(inside: &Inside) -> Provenance {
        let nothing = || AuditText::truncated("");
        let at = inside.service.calendar.wall();
        Provenance { who: Who::Server, from: nothing(), request: nothing(), at }
    }

    /// A key that is three thousand bytes long in a list.
    async fn put(inside: &Inside, identity: &Identity, key: &str) {
        // As long as it can be, and six times as long in JSON.
        put_with(inside, identity, key, &"\u{1}".repeat(500)).await;
    }

    async fn put_with(inside: &Inside, identity: &Identity, key: &str, description: &str) {
        let command = ConfigCommand::Put {
            account: identity.account().id,
            key: ConfigKey::new(key).unwrap(),
            value: Value::from_json("1").unwrap(),
            description: Some(Description::new(description).unwrap()),
            expected: Expected::Anything,
            incarnation: ids::incarnation(),
            quota: identity.quotas().config,
            by: by(inside),
        };
        let outcome = inside.service.config.ask(command).await.unwrap();
        assert!(matches!(outcome, ConfigOutcome::Written(_)), "{outcome:?}");
    }

    async fn body(inside: &Inside, identity: &Identity, limit: u16) -> ReplyBody {
        let (service, account) = (Arc::clone(&inside.service), identity.account().id);
        let selection = Selection { limit: PageLimit::new(limit).unwrap(), ..Selection::default() };
        let page = Keys::page(&service, account, selection.clone()).await.unwrap();
        let (total, of) = (page.total, PhantomData::<Keys>);
        let identity = identity.clone();
        let left = selection;
        let has_shown_any = false;
        Listing { service, identity, account, left, total, has_shown_any, of }.body(&page)
    }

    async fn piece(body: &mut ReplyBody) -> Option<Bytes> {
        Some(body.frame().await?.unwrap().into_data().unwrap())
    }

    async fn rest(mut begun: Vec<u8>, body: &mut ReplyBody) -> (Vec<String>, Option<String>) {
        while let Some(piece) = piece(body).await {
            assert!(piece.len() < Pieces::SIZE + 4_000, "{}", piece.len());
            begun.extend(piece);
        }
        let whole: Json = serde_json::from_slice(&begun).unwrap();
        let text = |json: &Json| json.as_str().unwrap().to_owned();
        let keys = whole["configs"].as_array().unwrap().iter();
        (keys.map(|entry| text(&entry["key"])).collect(), whole.get("next").map(text))
    }

    fn key(number: usize) -> String {
        format!("key-{number:03}")
    }

    #[tokio::test]
    async fn bounded_a_list_is_whole_and_never_more_of_it_in_memory_than_an_item_and_a_piece() {
        let inside = Inside::start();
        let identity = admin(&inside);
        for number in 0..100 {
            put(&inside, &identity, &key(number)).await;
        }
        for (limit, shown) in [(1, 1), (5, 5), (21, 21), (22, 22), (60, 60), (99, 99), (100, 100)] {
            let mut body = body(&inside, &identity, limit).await;
            assert_eq!(body.is_in_pieces(), shown > 21, "{shown}");
            let (keys, next) = rest(Vec::new(), &mut body).await;
            assert_eq!(keys, (0..shown).map(key).collect::<Vec<_>>());
            assert_eq!(next, (shown < 100).then(|| key(shown - 1)));
        }
    }

    #[tokio::test]
    async fn a_list_is_whole_although_its_pieces_ask_for_little() {
        let inside = Inside::start();
        let identity = admin(&inside);
        let many = 3 * usize::from(AT_ONCE);
        for number in 0..many {
            if number < 30 {
                put(&inside, &identity, &key(number)).await;
            } else {
                put_with(&inside, &identity, &key(number), "").await;
            }
        }
        for shown in [many, many - 1, 30 + usize::from(AT_ONCE)] {
            let limit = u16::try_from(shown).unwrap();
            let mut body = body(&inside, &identity, limit).await;
            let (keys, next) = rest(Vec::new(), &mut body).await;
            assert_eq!(keys, (0..shown).map(key).collect::<Vec<_>>());
            assert_eq!(next, (shown < many).then(|| key(shown - 1)));
        }
    }

    #[tokio::test]
    async fn what_comes_and_goes_while_a_list_is_read_is_shown_once_or_not_at_all() {
        let inside = Inside::start();
        let identity = admin(&inside);
        for number in (0..100).filter(|number| number % 10 > 0) {
            put(&inside, &identity, &key(number)).await;
        }
        let mut body = body(&inside, &identity, 1000).await;
        let begun = piece(&mut body).await.unwrap().to_vec();
        for number in [0, 50, 90] {
            put(&inside, &identity, &key(number)).await;
        }
        let (keys, next) = rest(begun, &mut body).await;
        let shown = (0..100).filter(|number| number % 10 > 0 || [50, 90].contains(number));
        assert_eq!((keys, next), (shown.map(key).collect(), None));
    }

    #[tokio::test]
    async fn a_list_breaks_off_with_the_token_of_its_reader() {
        let inside = Inside::start();
        let identity = admin(&inside);
        for number in 0..50 {
            put(&inside, &identity, &key(number)).await;
        }
        let mut body = body(&inside, &identity, 1000).await;
        piece(&mut body).await.unwrap();
        let revoke = AccountCommand::Revoke {
            account: identity.account().id,
            scope: identity.token().scope.clone(),
            token: identity.token().id,
            by: by(&inside),
        };
        inside.service.accounts.ask(revoke).await.unwrap();
        assert!(matches!(body.frame().await.unwrap(), Err(ApiError::Unauthorized)));
    }
}

//! Lists: sorted by name, a prefix, a page at a time. Every domain lists this way.

use std::{borrow::Borrow, collections::BTreeMap, ops::Bound};

/// Which names of a list are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Only names that begin with this.
    pub prefix: Box<str>,
    /// Only names after this one.
    pub after: Option<Box<str>>,
    /// At most this many.
    pub limit: PageLimit,
}

impl Default for Selection {
    fn default() -> Self {
        Self { prefix: "".into(), after: None, limit: PageLimit::MAX }
    }
}

/// How many names one page may hold: 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit(u16);

impl Default for PageLimit {
    fn default() -> Self {
        Self::MAX
    }
}

impl PageLimit {
    /// The largest page, and the default.
    pub const MAX: Self = Self(1_000);

    /// `None` when out of bounds.
    pub const fn new(limit: u16) -> Option<Self> {
        if limit >= 1 && limit <= Self::MAX.0 { Some(Self(limit)) } else { None }
    }

    /// As a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In order of their names.
    pub items: Vec<T>,
    /// How many there are with this prefix, on all pages together.
    pub total: usize,
    /// Whether more follow the last of `items`.
    pub more: bool,
}

impl<T> Page<T> {
    /// The last item, if more follow it: the next page begins after that.
    pub fn last_if_more(&self) -> Option<&T> {
        self.items.last().filter(|_| self.more)
    }

    /// The same page of what `keep` makes of the items, without those it makes nothing of.
    pub fn filter_map<U>(self, keep: impl FnMut(T) -> Option<U>) -> Page<U> {
        let items = self.items.into_iter().filter_map(keep).collect();
        Page { items, total: self.total, more: self.more }
    }

    /// The same page of what `make` makes of the items.
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> Page<U> {
        self.filter_map(|item| Some(make(item)))
    }
}

impl Selection {
    /// Selects from `entries`. Takes time in proportion to the page, and to the names with the prefix, if
    /// there is one, as all of them are counted.
    pub fn of<'a, N: Borrow<str> + Ord, V>(
        &self,
        entries: Option<&'a BTreeMap<N, V>>,
    ) -> Page<(&'a N, &'a V)> {
        let Some(entries) = entries else {
            return Page { items: Vec::new(), total: 0, more: false };
        };
        let prefix = &*self.prefix;
        let from = |begin| {
            let has_prefix = |(name, _): &(&N, &V)| -> bool { text(*name).starts_with(prefix) };
            entries.range::<str, _>((begin, Bound::Unbounded)).take_while(has_prefix)
        };
        let begin = match self.after.as_deref() {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let mut rest = from(begin);
        let items = rest.by_ref().take(usize::from(self.limit.0)).collect();
        let more = rest.next().is_some();
        let total = match prefix {
            "" => entries.len(),
            _ => from(Bound::Included(prefix)).count(),
        };
        Page { items, total, more }
    }
}

fn text(name: &impl Borrow<str>) -> &str {
    name.borrow()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn select(prefix: &str, after: Option<&str>, limit: u16) -> (Vec<&'static str>, usize, bool) {
        let names = BTreeMap::from(["a", "ab", "abc", "b", "ba"].map(|name| (name, ())));
        let selection = Selection {
            prefix: prefix.into(),
            after: after.map(Into::into),
            limit: PageLimit::new(limit).unwrap(),
        };
        let page = selection.of(Some(&names)).map(|(name, ())| *name);
        (page.items, page.total, page.more)
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        assert_eq!(select("", None, 1000), (vec!["a", "ab", "abc", "b", "ba"], 5, false));
        assert_eq!(select("", None, 2), (vec!["a", "ab"], 5, true));
        assert_eq!(select("", Some("ab"), 2), (vec!["abc", "b"], 5, true));
        assert_eq!(select("", Some("b"), 2), (vec!["ba"], 5, false));
        assert_eq!(select("ab", None, 1), (vec!["ab"], 2, true));
        assert_eq!(select("ab", Some("ab"), 1), (vec!["abc"], 2, false));
        assert_eq!(select("zz", None, 1), (vec![], 0, false));
        assert_eq!(select("b", Some("a"), 5), (vec!["b", "ba"], 2, false));
        assert_eq!(select("a", Some("b"), 5), (vec![], 3, false));
        assert_eq!(select("", Some("zz"), 5), (vec![], 5, false));
    }

    thread_local! {
        static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    /// A name that counts how often somebody looks at it.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    struct Counted(String);

    impl Borrow<str> for Counted {
        fn borrow(&self) -> &str {
            LOOKED_AT.set(LOOKED_AT.get() + 1);
            &self.0
        }
    }

    #[test]
    fn a_page_takes_no_longer_because_the_list_is_long() {
        let names = (0..100_000).map(|number| (Counted(format!("{number:06}")), ()));
        let names: BTreeMap<Counted, ()> = names.collect();
        for after in [None, Some("000001"), Some("050000"), Some("099998"), Some("zzz")] {
            let selection = Selection {
                after: after.map(Into::into),
                limit: PageLimit::new(1).unwrap(),
                ..Selection::default()
            };
            LOOKED_AT.set(0);
            let page = selection.of(Some(&names));
            assert_eq!(
                (page.total, page.items.len()),
                (100_000, usize::from(after != Some("zzz")))
            );
            assert!(
                LOOKED_AT.get() < 200,
                "{} looks for the page after {after:?}",
                LOOKED_AT.get()
            );
        }
    }

    #[test]
    fn a_page_has_bounds() {
        assert_eq!(PageLimit::new(0), None);
        assert_eq!(PageLimit::new(1001), None);
        assert_eq!(PageLimit::new(1000), Some(PageLimit::MAX));
        assert_eq!(PageLimit::MAX.get(), 1000);
    }
}

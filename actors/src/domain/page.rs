//! Lists: sorted by name, a prefix, a page at a time. Every domain lists this way.

use std::{borrow::Borrow, collections::BTreeSet, ops::Bound};

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

impl PageLimit {
    /// The largest page, and the default.
    pub const MAX: Self = Self(1_000);

    /// `None` when out of bounds.
    pub fn new(limit: u16) -> Option<Self> {
        (1..=Self::MAX.0).contains(&limit).then_some(Self(limit))
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

impl Selection {
    /// Selects from `names`. Takes time in proportion to the names with the prefix.
    pub fn of<N: Borrow<str> + Ord + Clone>(&self, names: &BTreeSet<N>) -> Page<N> {
        let from_prefix = (Bound::Included(&*self.prefix), Bound::Unbounded);
        let matching = names
            .range::<str, _>(from_prefix)
            .take_while(|name| Borrow::<str>::borrow(*name).starts_with(&*self.prefix));
        let mut page = Page { items: Vec::new(), total: 0, more: false };
        for name in matching {
            page.total += 1;
            let name_str: &str = name.borrow();
            if self.after.as_deref().is_some_and(|after| name_str <= after) {
                continue;
            }
            if page.items.len() < usize::from(self.limit.0) {
                page.items.push(name.clone());
            } else {
                page.more = true;
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(prefix: &str, after: Option<&str>, limit: u16) -> (Vec<&'static str>, usize, bool) {
        let names = BTreeSet::from(["a", "ab", "abc", "b", "ba"]);
        let selection = Selection {
            prefix: prefix.into(),
            after: after.map(Into::into),
            limit: PageLimit::new(limit).unwrap(),
        };
        let page = selection.of(&names);
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
    }

    #[test]
    fn a_page_has_bounds() {
        assert_eq!(PageLimit::new(0), None);
        assert_eq!(PageLimit::new(1001), None);
        assert_eq!(PageLimit::new(1000), Some(PageLimit::MAX));
    }
}

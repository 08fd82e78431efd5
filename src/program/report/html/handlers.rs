//! The handlers in a page, and how it names them.

use maud::{Markup, html};

use crate::program::web;

/// Their names, `dummy` first.
pub(super) struct Handlers<'a>(Vec<&'a str>);

impl<'a> Handlers<'a> {
    /// In the order of their first mention.
    pub(super) fn new(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known = vec!["dummy"];
        for name in names {
            if !known.contains(&name) {
                known.push(name);
            }
        }
        Self(known)
    }

    /// The index that the page's script uses.
    pub(super) fn place(&self, name: &str) -> usize {
        self.0.iter().position(|&known| known == name).unwrap_or(0)
    }

    /// All of them, with their indices.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &'a str)> {
        self.0.iter().copied().enumerate()
    }
}

/// The name after a patch of its colour.
pub(super) fn named(name: &str) -> Markup {
    html! { span.name { span.swatch.(web::colour(name)) {} span { (name) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_number() {
        let names: Vec<_> = (1..=9).map(|number| format!("own-{number}")).collect();
        let handlers = Handlers::new(names.iter().map(String::as_str).chain(["dummy", "own-1"]));
        assert_eq!(handlers.all().count(), 10);
        assert_eq!((handlers.place("dummy"), handlers.place("own-2")), (0, 2));
    }
}

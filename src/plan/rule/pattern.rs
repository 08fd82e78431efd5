//! A pattern: what a condition says about a word.

use regex::bytes::{Regex, RegexBuilder};

/// How large a compiled regular expression may be, in bytes.
const REGEX: usize = 1024 * 1024;

/// What a word has to be: `user:*`, `GET|HEAD`, `~^/v[12]/`.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// As it was written.
    text: Box<str>,
    kind: Kind,
    ignores_case: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    /// One of these.
    Words(Vec<Glob>),
    Regex(Regex),
}

/// A word with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Glob {
    Exact(Box<[u8]>),
    /// These bytes, and any others behind them.
    Prefix(Box<[u8]>),
    Wild(Box<[Piece]>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    /// `?`: any one byte.
    One,
    /// `*`: any bytes, or none.
    Many,
}

impl Pattern {
    /// Reads `text`, in which `*`, `?` and `|` have a meaning unless a backslash is before them.
    pub(super) fn parse(text: &str, ignores_case: bool) -> Result<Self, String> {
        let kind = match text.strip_prefix('~') {
            Some(regex) => Kind::Regex(read_regex(regex, ignores_case)?),
            None => Kind::Words(read_words(text, ignores_case)?),
        };
        Ok(Self { text: text.into(), kind, ignores_case })
    }

    /// Whether the whole of `word` is as the pattern says; of a regular expression, whether it is found in it.
    pub(super) fn matches(&self, word: &[u8]) -> bool {
        match &self.kind {
            Kind::Words(globs) => globs.iter().any(|glob| glob.matches(word, self.ignores_case)),
            Kind::Regex(regex) => regex.is_match(word),
        }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Its text if it can only be meant for a path: no method has a slash, or ends in a type.
    pub(super) fn text_of_path(&self) -> Option<&str> {
        let is_path = self.text.contains('/') || self.text.starts_with("*.");
        is_path.then_some(&*self.text)
    }

    /// Whether it is the word `*`, which says nothing.
    pub(super) fn is_anything(&self) -> bool {
        matches!(&self.kind, Kind::Words(globs) if globs.contains(&Glob::Prefix(Box::default())))
    }

    /// What is certain of a word that it matches, for each of its alternatives; none for a regular expression.
    pub(super) fn outlines(&self) -> Option<Vec<Outline>> {
        let Kind::Words(globs) = &self.kind else { return None };
        Some(globs.iter().map(|glob| Outline::of(&glob.pieces())).collect())
    }

    /// The words that it matches, if they are only a few.
    pub(super) fn exact(&self) -> Option<Vec<&[u8]>> {
        let Kind::Words(globs) = &self.kind else { return None };
        globs.iter().map(|glob| if let Glob::Exact(word) = glob { Some(&**word) } else { None }).collect()
    }

    /// How each word with wildcards in it begins, and whether that is all of it; none for a regular expression.
    pub(super) fn beginnings(&self) -> Vec<(String, bool)> {
        let Kind::Words(globs) = &self.kind else { return Vec::new() };
        let beginning = |glob: &Glob| {
            let pieces = glob.pieces();
            let bytes: Vec<u8> = pieces.iter().map_while(|piece| piece.byte()).collect();
            (String::from_utf8_lossy(&bytes).into_owned(), bytes.len() == pieces.len())
        };
        globs.iter().map(beginning).collect()
    }

    /// What it has of a query, `id=7` of `/pay?id=7`, where `?` was probably not meant as a wildcard.
    pub(super) fn query(&self) -> Option<String> {
        let Kind::Words(globs) = &self.kind else { return None };
        globs.iter().find_map(|glob| {
            let pieces = glob.pieces();
            let mark = pieces.iter().position(|piece| matches!(piece, Piece::One | Piece::Byte(b'?')))?;
            let rest: Vec<u8> = pieces[mark + 1..].iter().map(|piece| piece.byte().unwrap_or(b'*')).collect();
            let rest = String::from_utf8_lossy(&rest).into_owned();
            (pieces[mark].byte().is_some() || rest.contains('=')).then_some(rest)
        })
    }

    /// Whether it certainly matches every word that `other` matches.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            _ if self.is_anything() => true,
            (Kind::Regex(ours), Kind::Regex(theirs)) => ours.as_str() == theirs.as_str(),
            (Kind::Regex(_), Kind::Words(_)) => {
                other.exact().is_some_and(|words| words.iter().all(|word| self.matches(word)))
            }
            (Kind::Words(_), Kind::Regex(_)) => false,
            (Kind::Words(ours), Kind::Words(theirs)) => {
                theirs.iter().all(|theirs| ours.iter().any(|ours| ours.covers(theirs)))
            }
        }
    }
}

/// What is certain of a word that a pattern matches.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) begins: Vec<u8>,
    /// Nothing follows on its beginning.
    pub(crate) is_all: bool,
    pub(crate) ends: Vec<u8>,
    /// All its certain bytes.
    pub(crate) has: Vec<u8>,
}

impl Outline {
    fn of(pieces: &[Piece]) -> Self {
        let begins: Vec<u8> = pieces.iter().map_while(|piece| piece.byte()).collect();
        let mut ends: Vec<u8> = pieces.iter().rev().map_while(|piece| piece.byte()).collect();
        ends.reverse();
        let has = pieces.iter().filter_map(|piece| piece.byte()).collect();
        Self { is_all: begins.len() == pieces.len(), begins, ends, has }
    }
}

impl Piece {
    fn byte(self) -> Option<u8> {
        if let Self::Byte(byte) = self { Some(byte) } else { None }
    }
}

impl Glob {
    fn new(pieces: Vec<Piece>) -> Self {
        let bytes = |pieces: &[Piece]| -> Option<Box<[u8]>> { pieces.iter().map(|piece| piece.byte()).collect() };
        if let Some(word) = bytes(&pieces) {
            return Self::Exact(word);
        }
        match pieces.split_last() {
            Some((Piece::Many, begin)) if bytes(begin).is_some() => Self::Prefix(bytes(begin).unwrap_or_default()),
            _ => Self::Wild(pieces.into()),
        }
    }

    fn matches(&self, word: &[u8], ignores_case: bool) -> bool {
        let is = |ours: &[u8], theirs: &[u8]| {
            if ignores_case { ours.eq_ignore_ascii_case(theirs) } else { ours == theirs }
        };
        match self {
            Self::Exact(exact) => is(exact, word),
            Self::Prefix(begin) => word.get(..begin.len()).is_some_and(|word| is(begin, word)),
            Self::Wild(pieces) => fits(pieces, word, |piece, byte| match piece {
                Piece::Byte(ours) => is(&[ours], &[*byte]),
                Piece::One => true,
                Piece::Many => false,
            }),
        }
    }

    /// Whether it certainly matches every word that `other` matches. Each wildcard of `other` has to meet one that stands for
    /// as much.
    fn covers(&self, other: &Self) -> bool {
        fits(&self.pieces(), &other.pieces(), |ours, theirs| match ours {
            Piece::Byte(_) => ours == *theirs,
            Piece::One => *theirs != Piece::Many,
            Piece::Many => false,
        })
    }

    fn pieces(&self) -> Vec<Piece> {
        match self {
            Self::Exact(word) => word.iter().copied().map(Piece::Byte).collect(),
            Self::Prefix(begin) => begin.iter().copied().map(Piece::Byte).chain([Piece::Many]).collect(),
            Self::Wild(pieces) => pieces.to_vec(),
        }
    }
}

/// Whether `pieces` fit `word`, of which `fits_one` says what fits a piece other than [`Piece::Many`].
fn fits<T>(pieces: &[Piece], word: &[T], fits_one: impl Fn(Piece, &T) -> bool) -> bool {
    let (mut piece, mut at) = (0, 0);
    // The last `Many`, and where what it stands for ends.
    let mut many: Option<(usize, usize)> = None;
    while let Some(byte) = word.get(at) {
        match pieces.get(piece) {
            Some(Piece::Many) => {
                many = Some((piece, at));
                piece += 1;
            }
            Some(&one) if fits_one(one, byte) => (piece, at) = (piece + 1, at + 1),
            _ => {
                let Some((of, end)) = &mut many else { return false };
                *end += 1;
                (piece, at) = (*of + 1, *end);
            }
        }
    }
    pieces[piece..].iter().all(|piece| *piece == Piece::Many)
}

fn read_words(text: &str, ignores_case: bool) -> Result<Vec<Glob>, String> {
    let (mut globs, mut pieces) = (Vec::new(), Vec::new());
    let mut bytes = text.bytes();
    let mut ends = 0;
    while let Some(byte) = bytes.next() {
        match byte {
            b'|' => {
                if pieces.is_empty() {
                    return Err(format!("`{text}` has an empty alternative, write `\\|` for a `|`"));
                }
                ends += 1;
                globs.push(Glob::new(std::mem::take(&mut pieces)));
            }
            b'*' if pieces.last() == Some(&Piece::Many) => {}
            b'*' => pieces.push(Piece::Many),
            b'?' => pieces.push(Piece::One),
            b'\\' => match bytes.next() {
                Some(byte @ (b'*' | b'?' | b'|' | b'\\' | b'~')) => pieces.push(Piece::Byte(byte)),
                _ => return Err(format!("`{text}`: write `\\\\` for a backslash; `\\*`, `\\?` and `\\|` are escapes")),
            },
            byte => pieces.push(Piece::Byte(if ignores_case { byte.to_ascii_lowercase() } else { byte })),
        }
    }
    if pieces.is_empty() && ends > 0 {
        return Err(format!("`{text}` has an empty alternative, write `\\|` for a `|`"));
    }
    globs.push(Glob::new(pieces));
    Ok(globs)
}

fn read_regex(text: &str, ignores_case: bool) -> Result<Regex, String> {
    if text.is_empty() {
        return Err("`~` has no regular expression, write `~^user:`, or `\\~` for a `~`".to_owned());
    }
    let built = RegexBuilder::new(text).unicode(false).case_insensitive(ignores_case).size_limit(REGEX).build();
    built.map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("invalid regular expression `{text}`: {why}")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text, false).unwrap()
    }

    #[test]
    fn the_whole_word_has_to_match() {
        for (text, matching, others) in [
            ("user:*", &["user:", "user:1"][..], &["user", "xuser:1", "User:1"][..]),
            ("*:id", &[":id", "user:1:id"], &["user:1:idx"]),
            ("a*b*c", &["abc", "a1b2c", "abbbc", "abcbc"], &["ab", "acb", "abcd"]),
            ("?", &["a"], &["", "ab"]),
            ("a?c", &["abc"], &["ac", "abbc"]),
            ("a|bc|d*", &["a", "bc", "d", "def"], &["ab", "b", "c"]),
            ("", &[""], &["a"]),
            ("*", &["", "anything at all"], &[]),
            (r"\*\?\|\\\~", &[r"*?|\~"], &["ab|c~"]),
            ("~^a|b$", &["ax", "xb"], &["xa", "bx"]),
            ("~b", &["abc"], &["ac"]),
            (r"~^\x00\xff", &[], &["a"]),
        ] {
            let pattern = pattern(text);
            for word in matching {
                assert!(pattern.matches(word.as_bytes()), "{text} and {word}");
            }
            for word in others {
                assert!(!pattern.matches(word.as_bytes()), "{text} and {word}");
            }
        }
        assert!(pattern(r"~^\x00\xff").matches(b"\x00\xff"), "it is over bytes");
    }

    #[test]
    fn commands_ignore_case() {
        for text in ["SET|del", "s*", "?et", "~^set$"] {
            let pattern = Pattern::parse(text, true).unwrap();
            assert!(["SET", "set", "Set"].iter().all(|word| pattern.matches(word.as_bytes())), "{text}");
            assert!(!pattern.matches(b"GE"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (text, why) in [
            ("a||b", r"`a||b` has an empty alternative, write `\|` for a `|`"),
            ("a|", r"`a|` has an empty alternative, write `\|` for a `|`"),
            (r"a\d", r"`a\d`: write `\\` for a backslash; `\*`, `\?` and `\|` are escapes"),
            ("~", r"`~` has no regular expression, write `~^user:`, or `\~` for a `~`"),
            ("~(a", "invalid regular expression `(a`: unclosed group"),
        ] {
            assert_eq!(Pattern::parse(text, false).unwrap_err(), why);
        }
    }

    #[test]
    fn a_pattern_covers_what_it_certainly_matches() {
        for (wide, narrow) in [
            ("*", "~x"),
            ("user:*", "user:1*"),
            ("user:*", "user:?"),
            ("a|b*", "b1|a"),
            ("~^user:", "user:1|user:2"),
            ("~x", "~x"),
            ("?", "a"),
            ("*a*", "*bab*"),
        ] {
            assert!(pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        }
        for (wide, narrow) in [("a*", "*"), ("?", "*"), ("a", "a|b"), ("~x", "x*"), ("a*", "~^a"), ("?a", "*a")] {
            assert!(!pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        }
    }

    proptest! {
        #[test]
        fn it_matches_as_a_regular_expression_does(text in "[ab*?]{0,8}", word in "[ab]{0,8}") {
            let regex: String = text.chars().map(|char| match char {
                '*' => ".*".to_owned(),
                '?' => ".".to_owned(),
                other => other.to_string(),
            }).collect();
            let regex = Regex::new(&format!("(?-u)^{regex}$")).unwrap();
            prop_assert_eq!(pattern(&text).matches(word.as_bytes()), regex.is_match(word.as_bytes()));
        }

        #[test]
        fn what_it_covers_it_matches(wide in "[ab*?]{0,5}", narrow in "[ab*?]{0,5}", word in "[ab]{0,6}") {
            let (wide, narrow) = (pattern(&wide), pattern(&narrow));
            if wide.covers(&narrow) && narrow.matches(word.as_bytes()) {
                prop_assert!(wide.matches(word.as_bytes()));
            }
        }
    }
}

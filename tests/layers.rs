//! The order of the modules: each uses only modules that `src/lib.rs`, or `src/program/mod.rs`, declares above it.
//!
//! So there are no circles, and whoever reads from the top never meets something that is explained further down. Within a
//! folder the order is free: children may use their parent and each other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The module that stands on the whole engine.
const PROGRAM: &str = "program";

/// The modules that a file declares, in their order: that of `src/lib.rs` and of `src/program/mod.rs` counts.
fn order(file: &str) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let tokens: Vec<TokenTree> = text.parse::<TokenStream>().unwrap().into_iter().collect();
    let declared = |window: &[TokenTree]| match window {
        [TokenTree::Ident(word), TokenTree::Ident(name), end] if word == "mod" && is_punct(end, ';') => {
            Some(name.to_string())
        }
        _ => None,
    };
    tokens.windows(3).filter_map(declared).collect()
}

static ENGINE: LazyLock<Vec<String>> = LazyLock::new(|| order("src/lib.rs"));
static PROGRAM_PARTS: LazyLock<Vec<String>> = LazyLock::new(|| order("src/program/mod.rs"));

/// A path in the source, from the crate's root: `["net", "address", "Address"]`.
type ModulePath = Vec<String>;

/// What a file refers to in its crate, without its test code.
#[derive(Default)]
struct References {
    /// Each with its line.
    paths: Vec<(usize, ModulePath)>,
    /// Modules that are declared for tests alone and have files of their own.
    test_modules: Vec<ModulePath>,
}

impl References {
    /// `module` is that of the file.
    fn of(text: &str, module: &[String]) -> Self {
        let mut references = Self::default();
        references.scan(text.parse().unwrap(), module);
        references
    }

    /// Tokens leave out comments. Paths within strings, as in attributes of serde, are not seen.
    fn scan(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            match (first, after) {
                (TokenTree::Punct(hash), [TokenTree::Group(attribute), item @ ..]) if hash.as_char() == '#' => {
                    rest = if is_for_tests(&attribute.stream()) { self.skip_item(item, module) } else { item };
                }
                // `pub(in crate::protocol)` names a parent.
                (TokenTree::Ident(word), [TokenTree::Group(_), ..]) if word == "pub" => rest = &after[1..],
                (TokenTree::Ident(word), [TokenTree::Ident(name), TokenTree::Group(body), ..]) if word == "mod" => {
                    self.scan(body.stream(), &[module, &[name.to_string()]].concat());
                    rest = &after[2..];
                }
                (TokenTree::Ident(word), _) if word == "crate" || word == "super" => {
                    let parent = module.split_last().map_or(&[][..], |(_, parent)| parent);
                    let base = if word == "crate" { Vec::new() } else { parent.to_vec() };
                    if let Some(path) = after_colons(after) {
                        rest = self.read_path(word.span().start().line, base, path);
                    }
                }
                (TokenTree::Group(group), _) => self.scan(group.stream(), module),
                _ => {}
            }
        }
    }

    /// Reads the path that follows `crate::` or `super::`, with all its branches. Answers the tokens behind it.
    fn read_path<'t>(&mut self, line: usize, mut base: ModulePath, tokens: &'t [TokenTree]) -> &'t [TokenTree] {
        match tokens {
            [TokenTree::Group(group), rest @ ..] if group.delimiter() == Delimiter::Brace => {
                let branches: Vec<TokenTree> = group.stream().into_iter().collect();
                for branch in branches.split(|token| is_punct(token, ',')).filter(|branch| !branch.is_empty()) {
                    self.read_path(branch[0].span().start().line, base.clone(), branch);
                }
                rest
            }
            [TokenTree::Ident(name), rest @ ..] => {
                if name == "super" {
                    base.pop();
                } else if name != "self" {
                    base.push(name.to_string());
                }
                if let Some(path) = after_colons(rest) {
                    return self.read_path(line, base, path);
                }
                self.paths.push((line, base));
                rest
            }
            // `*`, or a generic argument.
            _ => {
                self.paths.push((line, base));
                tokens
            }
        }
    }

    /// What follows an item for tests, which ends with its first block or semicolon; a `use` only with the latter.
    fn skip_item<'t>(&mut self, item: &'t [TokenTree], module: &[String]) -> &'t [TokenTree] {
        let is_word = |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(ident) if ident == word);
        if let Some([_, name, end, ..]) = item.iter().position(|token| is_word(token, "mod")).map(|at| &item[at..])
            && is_punct(end, ';')
        {
            self.test_modules.push([module, &[name.to_string()]].concat());
        }
        let is_use = item.iter().take(3).any(|token| is_word(token, "use"));
        let is_block =
            |token: &TokenTree| matches!(token, TokenTree::Group(body) if body.delimiter() == Delimiter::Brace);
        let end = item.iter().position(|token| is_punct(token, ';') || (!is_use && is_block(token)));
        end.map_or(&[], |end| &item[end + 1..])
    }
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

fn after_colons(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    match tokens {
        [first, second, rest @ ..] if is_punct(first, ':') && is_punct(second, ':') => Some(rest),
        _ => None,
    }
}

/// Whether an attribute is `cfg(test)`, or `cfg(all(test, …))`. Test code may use whatever it needs: it is not part of the
/// crate that others build on.
fn is_for_tests(attribute: &TokenStream) -> bool {
    let text = attribute.to_string().replace(' ', "");
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// What is wrong with a reference from `module` to `path`, if anything is.
fn back_arrow(module: &[String], path: &[String]) -> Option<String> {
    let (from, to) = (module.first()?, path.first());
    if from == PROGRAM && to == Some(from) {
        return wrong_order(&PROGRAM_PARTS, module.get(1)?, path.get(1), "src/program/mod.rs");
    }
    wrong_order(&ENGINE, from, to, "src/lib.rs")
}

/// `root` has whatever is in no module of this `order`, and stands on all of them.
fn wrong_order(order: &[String], from: &str, to: Option<&String>, root: &str) -> Option<String> {
    let place = |name: &str| order.iter().position(|known| *known == name);
    match to.and_then(|to| Some((to, place(to)?))) {
        Some((to, _)) if to == from => None,
        Some((_, place_of_to)) if place(from).is_none_or(|place_of_from| place_of_to < place_of_from) => None,
        Some((to, _)) => Some(format!(
            "{from} -> {to}: `{from}` stands above `{to}` in {root}. Move what both need above `{from}`, or let `{to}` \
             pass it in"
        )),
        None => Some(format!("{from} -> {root}: use the module that defines it")),
    }
}

/// The module that a file is: `["net", "address"]` for `src/net/address.rs`.
fn module_of(file: &Path) -> ModulePath {
    let path = file.strip_prefix("src").unwrap().with_extension("");
    let mut module: ModulePath = path.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths
        .flat_map(|path| if path.is_dir() { source_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") && path != Path::new("src/main.rs"))
        .collect();
    files.sort();
    files
}

/// All references that point back, of the program or of the engine.
fn back_arrows(of_program: bool) -> Vec<String> {
    let files: Vec<(PathBuf, ModulePath, References)> = source_files(Path::new("src"))
        .into_iter()
        .map(|file| {
            let module = module_of(&file);
            let references = References::of(&fs::read_to_string(&file).unwrap(), &module);
            (file, module, references)
        })
        .collect();
    let test_modules: Vec<&ModulePath> = files.iter().flat_map(|(.., references)| &references.test_modules).collect();
    let is_checked = |module: &ModulePath| {
        module.first().is_some_and(|first| (first == PROGRAM) == of_program)
            && !test_modules.iter().any(|tests| module.starts_with(tests))
    };
    let checked = files.iter().filter(|(_, module, _)| is_checked(module));
    let arrows = checked.flat_map(|(file, module, References { paths, .. })| {
        paths
            .iter()
            .filter_map(move |(line, path)| Some(format!("{}:{line}: {}", file.display(), back_arrow(module, path)?)))
    });
    let arrows: BTreeSet<String> = arrows.collect();
    arrows.into_iter().collect()
}

#[test]
fn the_engine_keeps_its_order() {
    let arrows = back_arrows(false);
    assert!(arrows.is_empty(), "references that point back:\n{}", arrows.join("\n"));
}

#[test]
fn the_program_keeps_its_order() {
    let arrows = back_arrows(true);
    assert!(arrows.is_empty(), "references that point back:\n{}", arrows.join("\n"));
}

#[test]
fn the_order_is_that_of_the_declarations() {
    assert_eq!(
        (ENGINE.first().map(String::as_str), ENGINE.last().map(String::as_str)),
        (Some("diagnostic"), Some(PROGRAM))
    );
    assert!(PROGRAM_PARTS.starts_with(&["output".to_owned()]) && PROGRAM_PARTS.contains(&"cli".to_owned()));
}

/// The arrows that point back in a file with this text, with their lines.
fn found(file: &str, text: &str) -> Vec<String> {
    let module = module_of(Path::new(file));
    let paths = References::of(text, &module).paths;
    let arrow = |(line, path): (usize, ModulePath)| Some((line, back_arrow(&module, &path)?));
    let short = |(line, arrow): (usize, String)| format!("{line}: {}", arrow.split_once(": ").unwrap().0);
    paths.into_iter().filter_map(arrow).map(short).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn an_arrow_that_points_back_is_found() {
    assert_eq!(found("src/pump/mod.rs", "use crate::connection::End;"), ["1: pump -> connection"]);
    assert_eq!(found("src/proxy/accept.rs", "\npub(crate) use crate::program::x;"), ["2: proxy -> program"]);
    assert_eq!(found("src/net/mod.rs", "fn f() { g(vec![crate::events::X::<u8>::new()]) }"), ["1: net -> events"]);
    assert_eq!(found("src/program/report/junit.rs", "use crate::program::run::R;"), ["1: report -> run"]);
    assert_eq!(found("src/error.rs", "use crate::Daemon;"), ["1: error -> src/lib.rs"]);
    assert_eq!(found("src/program/api/v1.rs", "use crate::program::main;"), ["1: api -> src/program/mod.rs"]);
    assert_eq!(found("src/program/api/v1.rs", "use crate::program;"), ["1: api -> src/program/mod.rs"]);
}

#[test]
fn it_is_explained() {
    let module = |file| module_of(Path::new(file));
    let what = back_arrow(&module("src/proxy/accept.rs"), &module("src/program/config/mod.rs"));
    let expected = "proxy -> program: `proxy` stands above `program` in src/lib.rs. Move what both need above `proxy`, \
        or let `program` pass it in";
    assert_eq!(what.as_deref(), Some(expected));
}

#[test]
fn an_arrow_to_what_stands_above_is_allowed() {
    assert_eq!(found("src/pump/mod.rs", "use crate::net::Stream; use crate::pump::copy; use std::io;"), NONE);
    assert_eq!(found("src/program/run/mod.rs", "use crate::program::report::Run; use crate::daemon::Daemon;"), NONE);
    assert_eq!(found("src/program/mod.rs", "use crate::program::run::runner; mod run; use run::x;"), NONE);
    assert_eq!(found("src/lib.rs", "pub use crate::daemon::Daemon;"), NONE);
    assert_eq!(found("src/protocol/http/replies.rs", "pub(in crate::protocol) fn f() {}"), NONE);
}

#[test]
fn comments_and_texts_are_ignored() {
    let text = r##"
        //! See [`crate::connection`].
        /// use crate::connection::End;
        /* use crate::connection::End; /* crate::proxy::X */ */
        // use crate::connection::End;
        const TEXT: &str = "use crate::connection::End;";
        const RAW: &str = r#"crate::proxy::X"#;
    "##;
    assert_eq!(found("src/pump/mod.rs", text), NONE);
}

#[test]
fn every_branch_of_a_use_is_read() {
    let text = "use crate::{
        net::{self, address::Address}, // crate::program
        connection::{
            End,
            table::*,
        },
        proxy,
    };";
    let expected = ["4: pump -> connection", "5: pump -> connection", "7: pump -> proxy"];
    assert_eq!(found("src/pump/mod.rs", text), expected);
}

#[test]
fn a_super_that_leaves_its_folder_counts() {
    assert_eq!(found("src/pump/copy.rs", "use super::requests; use super::super::net;"), NONE);
    assert_eq!(found("src/pump/copy.rs", "use super::super::proxy::Proxy;"), ["1: pump -> proxy"]);
    assert_eq!(found("src/pump/copy.rs", "use super::{X, super::proxy::P};"), ["1: pump -> proxy"]);
    assert_eq!(found("src/pump/mod.rs", "if x == super::net::X { super::call::f() }"), NONE);
    assert_eq!(found("src/pump/mod.rs", "if x == super::net::X { super::proxy::f() }"), ["1: pump -> proxy"]);
    assert_eq!(found("src/call.rs", "use super::{plan, net};"), ["1: call -> plan"]);
    assert_eq!(found("src/call.rs", "mod inner { use super::X; use super::super::plan::Y; }"), ["1: call -> plan"]);
    assert_eq!(found("src/program/report/html/mod.rs", "use super::super::run::R;"), ["1: report -> run"]);
    assert_eq!(found("src/program/demo.rs", "use super::run::R;"), ["1: demo -> run"]);
}

#[test]
fn test_code_may_use_everything() {
    let text = "
        #[cfg(test)]
        mod tests { use crate::program::config::Config; }
        #[cfg(all(test, target_os = \"linux\"))]
        mod linux { use crate::proxy::X; }
        #[cfg(test)]
        #[path = \"x.rs\"]
        mod example;
        #[cfg(test)]
        use crate::proxy::{A, B};
        #[cfg(not(test))]
        use crate::proxy::C;
        use crate::connection::D;
    ";
    assert_eq!(found("src/pump/mod.rs", text), ["12: pump -> proxy", "13: pump -> connection"]);
    let declared = References::of(text, &["pump".to_owned()]).test_modules;
    assert_eq!(declared, [["pump", "example"]]);
}

//! The report as Markdown, for CI servers.

use std::fmt::{self, Display, Formatter};

use super::Report;
use super::table::Grid;

/// The content of [`Table`](super::table::Table), as Markdown.
pub(crate) struct Markdown<'a>(pub(crate) &'a Report);

impl Display for Markdown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        let error = report.error.iter().map(String::as_str);
        let Some(run) = report.shown() else {
            writeln!(f, "### vaurien: exit code {}, nothing was run\n", report.exit_code)?;
            return error.map(Plain).try_for_each(|error| writeln!(f, "{error}"));
        };
        writeln!(f, "### vaurien: {}\n", Plain(&run.outcome(report.exit_code)))?;
        error.map(Plain).try_for_each(|error| writeln!(f, "{error}\n"))?;
        if let Some(repeated) = report.repeated() {
            writeln!(f, "{repeated}\n")?;
        }
        report.totals().chain(report.failing_seeds()).try_for_each(|line| writeln!(f, "{}\n", Plain(&line)))?;
        write_grid(f, &Grid::of(run))?;
        let expectations = run.expectations.iter().map(ToString::to_string);
        let warnings = run.warnings.iter().map(|warning| format!("warning: {warning}"));
        for line in run.connections().chain(expectations).chain(warnings) {
            writeln!(f, "- {}", Plain(&line))?;
        }
        let fence = fence(&run.again);
        writeln!(f, "\nAgain:\n\n{fence}sh\n{}\n{fence}", run.again)
    }
}

fn write_grid(f: &mut Formatter<'_>, grid: &Grid) -> fmt::Result {
    writeln!(f, "| {} |", grid.header.join(" | "))?;
    let figures = grid.header.len() - grid.names;
    writeln!(f, "|{}{}", " --- |".repeat(grid.names), " ---: |".repeat(figures))?;
    for row in &grid.rows {
        write!(f, "|")?;
        row.iter().try_for_each(|cell| write!(f, " {} |", Plain(cell)))?;
        writeln!(f)?;
    }
    writeln!(f)
}

/// A fence that `text` does not contain.
fn fence(text: &str) -> String {
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(3.max(longest + 1))
}

/// Text on one line, escaped so that nothing in it is Markdown or HTML.
struct Plain<'a>(&'a str);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            char if char.is_control() => write!(f, "\\{}", char.escape_default()),
            // These have a meaning only at the start of a line or in an e-mail address.
            ',' | ':' | '%' | '-' | '.' | '/' | '=' => write!(f, "{char}"),
            char if char.is_ascii_punctuation() => write!(f, "\\{char}"),
            char => write!(f, "{char}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

    use super::*;
    use crate::program::command::End;
    use crate::program::report::example;

    #[test]
    fn a_run_is_a_heading_a_table_a_list_and_a_command() {
        let expected = r"### vaurien: exit code 3 \(the command\'s was 0\) after 21.4 s, seed 42

| proxy | handler | calls | faults | waited: p50 | p99 | max |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
| default | delay | 24 | 24 | 250 ms | 251 ms | 252 ms |
| default | dummy | 77 | 0 | - | - | - |
| cache | error | 5 | 5 | - | - | - |

- default: 1 connections, 2627 bytes from clients, 172790 bytes from backends, 0 opaque, 0 dial failures
- cache: 12 connections, 80 bytes from clients, 0 bytes from backends, 1 opaque, 2 dial failures, 3 handshake failures
- cache: 1 opaque: HTTP/2
- cache: 3 handshake failures: the client sent HTTP without TLS
- expected error\>=1: met, 5
- expected cache.delay\>=10: NOT met, 3
- warning: handler \`hang\` of cache took no call

Again:

```sh
vaurien --backend localhost:6379 --handler 20:delay --seed 42 -- pytest -x
```
";
        assert_eq!(Markdown(&example::report()).to_string(), expected);
    }

    #[test]
    fn a_run_that_failed_among_several_is_said() {
        let mut report = example::passed(7, 20);
        report.runs[6].end = End::Signalled { signal: 15 };
        report.exit_code = 143;
        let text = Markdown(&report).to_string();
        let start =
            "### vaurien: exit code 143 \\(ended by SIGTERM\\) after 21.4 s, seed 48\n\nrun 7 of 20 failed\n\n| ";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn where_nothing_was_run_it_says_so() {
        let text = Markdown(&Report::new(None, 1)).to_string();
        assert_eq!(text, "### vaurien: exit code 0, nothing was run\n\n");
        let mut report = Report::new(None, 1);
        report.error = Some("no `such` command".to_owned());
        assert!(Markdown(&report).to_string().ends_with("\n\nno \\`such\\` command\n"));
    }

    /// The cells of its table, the items of its list, and its code, as a page shows them.
    fn shown(text: &str) -> (Vec<String>, Vec<String>, String) {
        let (mut cells, mut items, mut code) = (Vec::new(), Vec::new(), String::new());
        let mut open = String::new();
        for event in Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
            match event {
                Event::Start(Tag::TableCell | Tag::Item | Tag::CodeBlock(CodeBlockKind::Fenced(_))) => open.clear(),
                Event::End(TagEnd::TableCell) => cells.push(open.clone()),
                Event::End(TagEnd::Item) => items.push(open.clone()),
                Event::End(TagEnd::CodeBlock) => code.clone_from(&open),
                Event::Text(text) => open.push_str(&text),
                Event::Start(
                    Tag::Heading { .. }
                    | Tag::Paragraph
                    | Tag::List(None)
                    | Tag::Table(_)
                    | Tag::TableHead
                    | Tag::TableRow,
                )
                | Event::End(_) => {}
                other => panic!("{other:?} in {text}"),
            }
        }
        (cells, items, code)
    }

    fn is_shown_as_it_is(name: &str) {
        let mut report = example::report();
        let run = &mut report.runs[0];
        run.proxies[0].handlers[0].name = name.to_owned();
        run.warnings = vec![name.to_owned()];
        run.again = format!("vaurien -- echo {name}");
        let (cells, items, code) = shown(&Markdown(&report).to_string());
        assert_eq!(cells.len(), 7 * 4);
        assert_eq!(cells[8], name.trim());
        assert_eq!(items.last().map(String::as_str), Some(format!("warning: {name}").trim_end()));
        assert_eq!(code, format!("vaurien -- echo {name}\n"));
    }

    #[test]
    fn nothing_in_a_name_is_markup() {
        for name in [
            "a|b",
            "`code`",
            "<img src=x onerror=alert(1)>",
            "</details>",
            "&lt;",
            "**bold** __bold__ ~~gone~~",
            "[link](http://example.org)",
            r"\|",
            "```` four",
            "@somebody #1",
            "$x$",
        ] {
            is_shown_as_it_is(name);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_in_a_name_is_shown(name in r"[ -~é]{1,20}") {
            is_shown_as_it_is(name.trim());
        }
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(Plain("a\nb\u{1b}").to_string(), r"a\\nb\\u{1b}");
        assert_eq!(fence("a ``` b ```` c"), "`````");
    }
}

//! A page of Markdown: its blocks of code, links and headings.

use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A file of the repository.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(crate) struct Page {
    /// Its path within the repository.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn read(name: &str) -> Self {
        let text = fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), text }
    }

    /// Every page of the project.
    pub(crate) fn all() -> Vec<Self> {
        let mut names = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
        for folder in ["docs", "examples", "benches"] {
            collect(folder, &mut names);
        }
        assert!(names.len() > 15, "{names:?}");
        names.iter().map(|name| Self::read(name)).collect()
    }

    fn events(&self) -> impl Iterator<Item = Event<'_>> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES)
    }

    /// The blocks of code in this language: `rust` is also `rust,no_run`.
    pub(crate) fn blocks(&self, language: &str) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut within = false;
        for event in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    within = info.split(',').next() == Some(language);
                    if within {
                        blocks.push(String::new());
                    }
                }
                Event::End(TagEnd::CodeBlock) => within = false,
                Event::Text(text) if within => blocks.last_mut().unwrap().push_str(&text),
                _ => {}
            }
        }
        blocks
    }

    /// The one block in this language that contains `text`.
    pub(crate) fn block(&self, language: &str, text: &str) -> String {
        let mut found = self.blocks(language);
        found.retain(|block| block.contains(text));
        assert_eq!(found.len(), 1, "{}: blocks of {language} with {text:?}", self.name);
        found.remove(0)
    }

    /// The command lines in `sh` blocks, those that go over several lines in one piece.
    pub(crate) fn commands(&self) -> Vec<String> {
        let blocks = self.blocks("sh").concat().replace("\\\n", " ");
        blocks.lines().map(str::to_owned).collect()
    }

    /// The code within its sentences and tables.
    pub(crate) fn inline_code(&self) -> Vec<String> {
        let code = |event| if let Event::Code(code) = event { Some(code.into_string()) } else { None };
        self.events().filter_map(code).collect()
    }

    /// Where its links and pictures point to.
    pub(crate) fn links(&self) -> Vec<String> {
        let link = |event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url.into_string()),
            _ => None,
        };
        self.events().filter_map(link).collect()
    }

    /// The names under which links find its headings.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut anchors = Vec::new();
        let mut heading = None;
        for event in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => anchors.push(anchor(&heading.take().unwrap())),
                Event::Text(text) | Event::Code(text) => heading.iter_mut().for_each(|heading| heading.push_str(&text)),
                _ => {}
            }
        }
        anchors
    }
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter);
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn collect(folder: &str, names: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(path(folder)).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&name, names);
        } else if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            names.push(name);
        }
    }
}

#[test]
fn a_page_is_read() {
    let text = "# One `--flag`: two\n\n```sh\na \\\n  b\nc\n```\n\nSee [there](x.md#y), `code` and ![it](z.png).\n\n```rust,no_run\nd\n```\n";
    let page = Page { name: String::new(), text: text.to_owned() };
    assert_eq!(page.anchors(), ["one---flag-two"]);
    assert_eq!(page.commands(), ["a    b", "c"]);
    assert_eq!((page.blocks("rust"), page.block("sh", "b")), (vec!["d\n".to_owned()], "a \\\n  b\nc\n".to_owned()));
    assert_eq!(
        (page.links(), page.inline_code()),
        (vec!["x.md#y".to_owned(), "z.png".to_owned()], vec!["--flag".to_owned(), "code".to_owned()])
    );
}

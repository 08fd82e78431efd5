//! Links resolve, nothing is missing from an index, and the README stays short.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::page::{Page, path};

/// The longest README, in bytes.
const README: usize = 10 * 1024;

/// Where a link leads to: a file of the repository, and perhaps a heading in it.
fn target(page: &Page, link: &str) -> (String, Option<String>) {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor.to_owned())));
    let file = if file.is_empty() { page.name.clone() } else { beside(&page.name, file) };
    (file, anchor)
}

/// `link` as a page named `page` means it.
fn beside(page: &str, link: &str) -> String {
    let mut whole = PathBuf::new();
    for part in Path::new(page).parent().unwrap().join(link).components() {
        match part {
            Component::ParentDir => assert!(whole.pop(), "{page}: {link} leaves the repository"),
            part => whole.push(part),
        }
    }
    whole.to_str().unwrap().to_owned()
}

#[test]
fn links_resolve() {
    let mut wrong = Vec::new();
    for page in Page::all() {
        for link in page.links().into_iter().filter(|link| !link.starts_with("https://")) {
            let (file, anchor) = target(&page, &link);
            let found =
                path(&file).exists() && anchor.is_none_or(|anchor| Page::read(&file).anchors().contains(&anchor));
            if !found {
                wrong.push(format!("{}: {link}", page.name));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_page_and_example_is_in_its_index() {
    for folder in ["docs", "examples"] {
        let index = Page::read(&format!("{folder}/README.md"));
        let linked: Vec<String> = index.links().iter().map(|link| target(&index, link).0).collect();
        for entry in fs::read_dir(path(folder)).unwrap() {
            let name = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
            let is_linked = linked.iter().any(|link| *link == name || link.starts_with(&format!("{name}/")));
            let is_page =
                Path::new(&name).extension().is_some_and(|extension| extension == "md") || folder == "examples";
            assert!(is_linked || !is_page || name == index.name, "{name} is not in {}", index.name);
        }
    }
}

#[test]
fn the_readme_is_short() {
    let length = Page::read("README.md").text.len();
    assert!(length <= README, "{length} bytes: move something to docs/");
}

#[test]
fn rust_code_is_compiled() {
    let library = fs::read_to_string(path("src/lib.rs")).unwrap();
    for page in Page::all().iter().filter(|page| !page.blocks("rust").is_empty()) {
        assert!(library.contains(&format!("include_str!(\"../{}\")", page.name)), "{}", page.name);
    }
}

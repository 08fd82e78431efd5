//! The program accepts the command lines and files of all pages.

use std::collections::BTreeSet;

use super::options::documented_flags;
use super::page::{Page, path};
use super::world::Program;

/// The arguments of a command line that calls the program, up to what the shell does with its output.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.split(" #").next()?;
    let rest = line.strip_prefix("vaurien ").or_else(|| line.strip_prefix("cargo run --release -- "))?;
    let words = shlex::split(rest).unwrap_or_else(|| panic!("unbalanced quotes: {line}"));
    Some(words.into_iter().take_while(|word| word != "|" && !word.starts_with("<<")).collect())
}

/// What the program would do with these arguments, and nothing else is wrong with them.
fn checked(arguments: &[String]) -> String {
    let ended = Program::run(Program::command("--check").args(arguments));
    assert_eq!(ended.code, Some(0), "{arguments:?}: {:#?}", ended.lines);
    ended.stdout
}

#[test]
fn commands_are_accepted() {
    let mut checked_lines = 0;
    for page in Page::all() {
        for line in page.commands() {
            if let Some(arguments) = arguments(&line) {
                checked(&arguments);
                checked_lines += 1;
            }
        }
    }
    assert!(checked_lines >= 20, "{checked_lines}");
}

/// The texts in double quotes that follow the first `begin`, up to what ends the list.
fn texts(block: &str, begin: &str) -> Option<Vec<String>> {
    let list = block.split_once(begin)?.1;
    // `)` may be in a text, but no list goes on behind a line that does not end in a comma.
    let end = list.lines().take_while(|line| line.ends_with(',') && !line.ends_with("},")).count() + 1;
    let list: Vec<&str> = list.lines().take(end).collect();
    Some(list.join("\n").split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

#[test]
fn containers_are_given_arguments_that_are_accepted() {
    let page = std::fs::read_to_string(path("docs/testcontainers.md")).unwrap();
    let lists = page.split("```").filter_map(|block| {
        let begins = [".withCommand(", "Cmd:          []string{", ".WithCommand("];
        begins.iter().find_map(|begin| texts(block, begin))
    });
    let lists: Vec<_> = lists.collect();
    for list in &lists {
        let complete = if list.iter().any(|word| word.starts_with("--http")) { &["--http"][..] } else { &[] };
        let arguments: Vec<String> = list.iter().cloned().chain(complete.iter().map(ToString::to_string)).collect();
        let says = checked(&arguments);
        assert!(says.contains("redis:6379"), "{list:?}: {says}");
    }
    assert_eq!(lists.len(), 4);
}

#[test]
fn a_wrong_command_is_found() {
    let arguments = arguments("vaurien --backend a:1 --handler 10:errr -- true | sort").unwrap();
    assert_eq!(arguments, ["--backend", "a:1", "--handler", "10:errr", "--", "true"]);
    assert_eq!(Program::run(Program::command("--check").args(arguments)).code, Some(2));
}

#[test]
fn flags_exist() {
    let mut known = documented_flags();
    for ctl in ["ctl --help", "ctl rule add --help", "ctl events --help"] {
        let help = Program::run(&mut Program::command(ctl)).stdout;
        known.extend(help.split([' ', ',', '\n']).filter(|word| word.starts_with("--")).map(str::to_owned));
    }
    // Flags of other programs stand in whole command lines.
    let mut wrong = BTreeSet::new();
    for page in Page::all() {
        for code in page.inline_code().iter().filter(|code| code.starts_with("--") || code.starts_with("vaurien ")) {
            let ours = code.split(" -- ").next().unwrap().split(" | ").next().unwrap();
            let flags = ours.split([' ', '=']).filter(|word| word.starts_with("--") && word.len() > 2);
            wrong.extend(flags.filter(|flag| !known.contains(*flag)).map(|flag| format!("{}: {flag}", page.name)));
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

#[test]
fn files_are_accepted() {
    let mut means = Vec::new();
    for page in Page::all() {
        for block in page.blocks("toml") {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("vaurien.toml");
            std::fs::write(&file, block).unwrap();
            means.push(checked(&["--config".to_owned(), file.to_str().unwrap().to_owned()]));
        }
    }
    let [single, several, rules, tls, toxics] = &means[..] else { panic!("five files: {means:#?}") };
    assert!(single.contains("redis, handler 20:delay,5:error") && single.contains("seed 42"), "{single}");
    assert!(several.contains("cache: ") && several.contains("api: disabled"), "{several}");
    assert!(toxics.contains("\n  toxic slow: upstream:slow=bandwidth(rate=50KB/s,toxicity=0.5)"), "{toxics}");
    assert!(tls.contains(" (TLS) -> api.example.com:443 (TLS), protocol http"), "{tls}");
    assert!(rules.contains("2 rules") && rules.contains("\n  rule writes: "), "{rules}");
}

#[test]
fn the_static_program_is_built_as_for_the_image() {
    let page = Page::read("docs/deployment.md");
    let built = page.commands().into_iter().find(|line| line.starts_with("cargo build ")).unwrap();
    let image = std::fs::read_to_string(path("examples/docker/Dockerfile")).unwrap();
    assert!(image.replace("$(uname -m)", "x86_64").replace('"', "").contains(&built), "{built}");
}

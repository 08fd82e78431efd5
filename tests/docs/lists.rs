//! Lists on the pages have all that the program has, and nothing else.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde_json::Value;

use super::options::{handlers, options_of};
use super::page::Page;
use super::world::{Backend, Program};

/// The first cell of each row of the tables on this page, as far as it is code.
fn first_cells(page: &str) -> BTreeSet<String> {
    let text = Page::read(page).text;
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let code = Regex::new("`([^`]+)`").unwrap();
    cells.flat_map(|cell| code.captures_iter(cell).map(|found| found[1].to_owned()).collect::<Vec<_>>()).collect()
}

fn with_api() -> Program {
    Program::start(&Backend::lines(), "--protocol redis --http --http-port 0 --handler delay --handler-delay-sleep 1ms")
}

#[test]
fn handlers_are_all_named_with_their_options() {
    let (readme, page) = (Page::read("README.md").text, Page::read("docs/handlers.md").text);
    for handler in handlers() {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{handler}` |")));
        let row = row.unwrap_or_else(|| panic!("no row for {handler}"));
        assert!(page.contains(&format!("\n**`{handler}`** ")), "{handler}");
        let mut options = options_of(&handler);
        if handler == "transient" {
            // The row says in words that it has those of `error` as well.
            let of_error = options_of("error");
            assert!(of_error.iter().all(|option| options.contains(option)) && row.ends_with("all those of error |"));
            options.retain(|option| !of_error.contains(option));
        }
        for (option, default) in &options {
            assert!(row.contains(&format!("`{option}` ({default}")), "{option}, {default}: {row}");
        }
        assert_eq!(row.rsplit("| ").next().unwrap().matches('`').count(), 2 * options.len(), "{row}");
    }
}

#[test]
fn metrics_are_all_named() {
    let vaurien = with_api();
    vaurien.connect().send("get a\r\n").expect("+get a\r\n");
    let text = vaurien.api().get("/metrics").body;
    let families =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter(|line| line.starts_with("vaurien"));
    let counted = families.map(|line| match line.split_once(' ').unwrap() {
        (name, "counter") => format!("{name}_total"),
        (name, "info") => format!("{name}_info"),
        (name, _) => name.to_owned(),
    });
    let named: BTreeSet<String> =
        first_cells("docs/metrics.md").into_iter().filter(|name| name != "process_…").collect();
    assert_eq!(counted.collect::<BTreeSet<_>>(), named);
}

#[test]
fn calls_of_the_api_are_all_named() {
    let document = with_api().api().get("/v1/openapi.json").json();
    let mut known = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path =
            path.replace("{name}", "cache").replace("{id}", "7").replace("{rule}", "pay").replace("{toxic}", "slow");
        known.extend(methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let mut named = first_cells("docs/api.md");
    // The page says in words that these are the same.
    for (other, word) in [("/handler", "/behavior"), ("/handlers", "/behaviors")] {
        let same = known.iter().filter(|call| call.ends_with(other)).map(|call| call.replace(other, word));
        assert!(same.clone().count() > 0 && same.clone().all(|call| named.contains(&call)), "{other}");
    }
    known.retain(|call| !call.ends_with("/handler") && !call.ends_with("/handlers"));
    named.retain(|name| name.contains(" /"));
    assert_eq!(known, named);
}

/// Every field that an object has, at any depth, by its name alone.
fn fields(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields_of) => {
            for (name, value) in fields_of {
                into.insert(name.clone());
                fields(value, into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, into)),
        _ => {}
    }
}

#[test]
fn fields_of_the_report_are_all_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    // A call that waits, a command that exits and one that is ended by a signal: together they have every field.
    let backend = Backend::lines();
    let mut known = BTreeSet::new();
    let call = "exec 3<>/dev/tcp/{host}/{port}; printf 'get a\\r\\n' >&3; head -c 1 <&3";
    for script in [call, "kill -9 $$"] {
        let mut command =
            Program::command("--protocol redis --handler delay --handler-delay-sleep 1ms --expect calls>=0");
        command.args(["--rule", "GET none => dummy", "--toxic", "noop"]);
        command.args(["--backend", &backend.address().to_string()]).arg("--report").arg(&file);
        Program::run(command.args(["--", "bash", "-c", script]));
        let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        fields(&report, &mut known);
    }
    // A call before the first label, and one with a label more than are told apart.
    let options = format!("--protocol redis --http --http-port 0 --report {}", file.display());
    let vaurien = Program::start(&backend, &options);
    vaurien.connect().send("get a\r\n").expect("+get a\r\n");
    for number in 0..=2000 {
        assert_eq!(vaurien.api().put("/v1/label", &format!(r#"{{"label": "{number}"}}"#)).status, 200);
    }
    vaurien.connect().send("get a\r\n").expect("+get a\r\n");
    vaurien.stop();
    fields(&serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap(), &mut known);
    let page = Page::read("docs/reports.md").text;
    let (_, page) = page.split_once("## JSON").unwrap();
    let code = Regex::new(r"`[\w.\[\]]*?(\w+)(?:\[\])?`").unwrap();
    let named: BTreeSet<String> = code.captures_iter(page).map(|found| found[1].to_owned()).collect();
    assert_eq!(known, named);
}

//! Defaults for `--demo` and for a command, in place of the usual ones. Every other source overrides them.

use super::entry::{Entry, Origin};
use super::layout::Layout;
use super::schema::{PROXIES, Schema};

/// What `--demo` asks for where nothing else does. With this seed the first five connections to the proxy meet one handler
/// each: dummy, delay, error, blackout, hang.
const DEMO: [(&str, &str); 5] = [
    ("http.enabled", "true"),
    ("protocol", "http"),
    ("handler", "20:delay,20:error,10:blackout,5:hang"),
    ("handlers.delay.sleep", "0.25"),
    ("seed", "2508"),
];

/// A command is told where the proxies and the API listen, so they need not depend on ports that may be taken.
const WITH_A_COMMAND: [(&str, &str); 2] = [("proxy", "localhost:0"), ("http.port", "0")];

pub(crate) fn demo(schema: &Schema<'_>, layout: &Layout) -> Vec<Entry> {
    match layout {
        Layout::One => entries(schema, &DEMO, &Origin::Named("--demo".to_owned())),
        // It shows one proxy.
        Layout::Several(_) | Layout::Json => Vec::new(),
    }
}

/// The entries for proxies in front of which a command runs.
pub(crate) fn with_a_command(schema: &Schema<'_>, layout: &Layout) -> Vec<Entry> {
    let preset = entries(schema, &WITH_A_COMMAND, &Origin::Default("default with a command"));
    let Layout::Several(named) = layout else { return preset };
    let (own, mut entries): (Vec<_>, Vec<_>) = preset.into_iter().partition(|entry| entry.path.len() == 1);
    for (name, _) in named {
        entries.extend(own.iter().map(|entry| {
            let path = [vec![PROXIES.to_owned(), name.clone()], entry.path.clone()].concat();
            Entry { path, ..entry.clone() }
        }));
    }
    entries
}

fn entries(schema: &Schema<'_>, preset: &[(&str, &str)], origin: &Origin) -> Vec<Entry> {
    let entry = |(path, value): &(&str, &str)| {
        let path: Vec<&str> = path.split('.').collect();
        // A user's own handler may have taken the place of the one with this setting.
        schema.get(&path).map(|setting| setting.entry(setting.field.parse(value), origin.clone()))
    };
    preset.iter().filter_map(entry).collect()
}

//! Calls as columns of numbers, for the page's script: a tenth of the bytes that an object for each call takes.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::handlers::Handlers;
use crate::call_log::RecordedCall;
use crate::events::{Action, RequestHead};
use crate::labels::CallLabel;
use crate::program::report::text::visible;

/// How many different requests are written: each may have hundreds of bytes, everything else of a call has twenty.
pub(super) const HEADS: u16 = 20_000;

/// Calls, sorted by proxy, connection and time. Times are microseconds.
#[derive(Default, Serialize)]
pub(super) struct Columns<'a> {
    proxies: Vec<&'a str>,
    rows: Rows,
    kinds: Kinds,
    /// Commands and keys. The first is empty, for calls without one.
    heads: Vec<String>,
    /// How many calls have a request that is not among `heads`.
    #[serde(skip)]
    pub(super) unnamed: u64,
    /// The time since the row's previous call began; for the first one, since the run began.
    begun: Vec<i64>,
    took: Vec<u64>,
    /// How long the client made no call after each fault, in the order of the faults; null where that is not known.
    paused: Vec<Option<u64>>,
    /// The difference from the number of the row's previous call.
    number: Vec<i64>,
    kind: Vec<usize>,
    head: Vec<usize>,
    /// The labels, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<&'a str>,
    /// The index of each call's label; none for one without. Empty if no call has one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    label: Vec<Option<usize>>,
}

/// One row for each connection.
#[derive(Default, Serialize)]
struct Rows {
    proxy: Vec<usize>,
    connection: Vec<u64>,
    calls: Vec<usize>,
}

/// Calls of one kind look the same.
#[derive(Default, Serialize)]
struct Kinds {
    handler: Vec<usize>,
    fault: Vec<Option<Action>>,
    replied: Vec<bool>,
}

/// The indices of requests in [`Columns::heads`].
#[derive(Default)]
struct Heads<'a>(HashMap<(&'a str, &'a str), usize>);

/// Proxies that are not in `proxies` come last.
pub(super) fn columns<'a>(calls: &'a [RecordedCall], proxies: &[&'a str], handlers: &Handlers) -> Columns<'a> {
    let mut columns = Columns { proxies: proxies.to_vec(), heads: vec![String::new()], ..Columns::default() };
    let (mut heads, mut labels) = (Heads::default(), HashMap::new());
    let has_labels = calls.iter().any(|call| call.label.is_some());
    // If not all requests fit, those of faults matter most.
    for head in calls.iter().filter(|call| call.fault.is_some()).filter_map(|call| call.head.as_ref()) {
        heads.place(head, &mut columns.heads);
    }
    let mut sorted: Vec<_> = calls.iter().map(|call| (place(&mut columns.proxies, &call.proxy), call)).collect();
    sorted.sort_by_key(|&(proxy, call)| (proxy, call.connection, call.begun, call.call));
    let (mut row, mut begun, mut number) = (None, 0, 0);
    for (proxy, call) in sorted {
        if row != Some((proxy, call.connection)) {
            row = Some((proxy, call.connection));
            columns.rows.proxy.push(proxy);
            columns.rows.connection.push(call.connection);
            columns.rows.calls.push(0);
            (begun, number) = (0, 0);
        }
        if let Some(calls) = columns.rows.calls.last_mut() {
            *calls += 1;
        }
        let now = i64::try_from(micros(call.begun)).unwrap_or(i64::MAX);
        columns.begun.push(now - begun);
        columns.took.push(micros(call.ended.saturating_sub(call.begun)));
        if call.fault.is_some() {
            columns.paused.push(call.paused().map(micros));
        }
        columns.number.push(call.call.wrapping_sub(number).cast_signed());
        columns.kind.push(columns.kinds.place(handlers.place(&call.handler), call.fault, call.is_done));
        let head = call.head.as_ref().map(|head| heads.place(head, &mut columns.heads));
        columns.unnamed += u64::from(head == Some(None));
        columns.head.push(head.flatten().unwrap_or(0));
        if has_labels {
            let place = |label: &'a CallLabel| {
                *labels.entry(&*label.text).or_insert_with(|| {
                    columns.labels.push(&label.text);
                    columns.labels.len() - 1
                })
            };
            columns.label.push(call.label.as_deref().map(place));
        }
        (begun, number) = (now, call.call);
    }
    columns
}

/// The index of `name`, which is added if it is new.
fn place<'a>(names: &mut Vec<&'a str>, name: &'a str) -> usize {
    names.iter().position(|&known| known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

fn text(head: &RequestHead) -> String {
    match head.words() {
        (command, "") => visible(command).into_owned(),
        (command, key) => visible(&format!("{command} {key}")).into_owned(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Columns<'_> {
    /// JSON without a `<`, as `</script>` would end the script that holds it. JSON has it in texts only.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)?.replace('<', r"\u003c"))
    }
}

impl<'a> Heads<'a> {
    /// The index of `head` in `texts`. It is added if it is new and there is room.
    fn place(&mut self, head: &'a RequestHead, texts: &mut Vec<String>) -> Option<usize> {
        if let Some(&place) = self.0.get(&head.words()) {
            return Some(place);
        }
        let place = texts.len();
        (self.0.len() < usize::from(HEADS)).then(|| {
            self.0.insert(head.words(), place);
            texts.push(text(head));
            place
        })
    }
}

impl Kinds {
    fn place(&mut self, handler: usize, fault: Option<Action>, replied: bool) -> usize {
        let known =
            |&kind: &usize| self.handler[kind] == handler && self.fault[kind] == fault && self.replied[kind] == replied;
        (0..self.handler.len()).find(known).unwrap_or_else(|| {
            self.handler.push(handler);
            self.fault.push(fault);
            self.replied.push(replied);
            self.handler.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::example;
    use super::*;

    #[test]
    fn calls_are_columns_by_proxy_connection_and_time() {
        let next = Some(Duration::from_micros(2_000_009));
        let calls = [
            RecordedCall { next, ..example::call("web", 2, 1, "delay", 5..9).fault(Action::Sleep) },
            example::call("cache", 7, 2, "dummy", 3_000..4_000),
            example::call("cache", 7, 1, "dummy", 1_000..1_500).head("GET a"),
            example::call("cache", 3, 1, "error", 10..20).fault(Action::Close).no_reply().head("GET a"),
        ];
        let handlers = Handlers::new(["delay", "error"]);
        let text = columns(&calls, &["web", "cache"], &handlers).json().unwrap();
        let expected = serde_json::json!({
            "proxies": ["web", "cache"],
            "rows": { "proxy": [0, 1, 1], "connection": [2, 3, 7], "calls": [1, 1, 2] },
            "kinds": { "handler": [1, 2, 0], "fault": ["sleep", "close", null], "replied": [true, false, true] },
            "heads": ["", "GET a"],
            "begun": [5, 10, 1000, 2000],
            "took": [4, 10, 500, 1000],
            "paused": [2_000_000, null],
            "number": [1, 1, 1, 1],
            "kind": [0, 1, 2, 2],
            "head": [0, 1, 1, 0],
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }

    #[test]
    fn numbers_may_go_back_and_times_be_wrong() {
        let mut calls = [example::call("a", 1, 9, "dummy", 1..2), example::call("a", 1, 4, "dummy", 2..3)];
        calls[1].ended = Duration::ZERO;
        let columns = columns(&calls, &[], &Handlers::new([]));
        assert_eq!((columns.number, columns.took), (vec![9, -5], vec![1, 0]));
        assert_eq!(columns.proxies, ["a"]);
    }

    #[test]
    fn nothing_in_it_ends_the_script() {
        let call = example::call("</script><!--", 1, 1, "dummy", 1..2).head("GET <script>");
        let calls = [call];
        let text = columns(&calls, &[], &Handlers::new([])).json().unwrap();
        assert!(!text.contains('<'), "{text}");
        let value = serde_json::from_str::<Value>(&text).unwrap();
        assert_eq!(value["proxies"][0], "</script><!--");
        assert_eq!(value["heads"][1], "GET <script>");
    }

    #[test]
    fn requests_of_faults_have_room_before_others() {
        let number = u64::from(HEADS) + 5;
        let calls: Vec<_> = (1..=number)
            .map(|number| example::call("a", 1, number, "dummy", number..number + 1).head(&format!("GET {number}")))
            .chain([example::call("z", 1, 1, "delay", 0..9).fault(Action::Sleep).head("GET late")])
            .chain([example::call("z", 1, 2, "dummy", 9..10).head("GET late")])
            .chain([example::call("z", 1, 3, "dummy", 11..12)])
            .collect();
        let columns = columns(&calls, &[], &Handlers::new(["delay"]));
        assert_eq!((columns.heads.len(), columns.unnamed), (20_001, 6));
        assert_eq!((&*columns.heads[1], &*columns.heads[2]), ("GET late", "GET 1"));
        let (named, rest) = columns.head.split_at(19_999);
        assert!(named.iter().all(|&head| head > 1), "those that were first");
        assert_eq!(rest, [0, 0, 0, 0, 0, 0, 1, 1, 0]);
    }
}

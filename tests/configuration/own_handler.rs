//! A user's own handler is set like those that come with the program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vaurien::handler::{Dummy, Handler, Registry};

use crate::Start;

/// Stumbles now and then.
///
/// More than its first paragraph does not fit into the help.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Stumble {
    /// Every so manieth call.
    #[schemars(extend("x-unit" = "calls"))]
    every: u64,
    /// How it falls.
    how: How,
    /// Where it hurts.
    where_it_hurts: Option<String>,
    /// On which keys.
    keys: Vec<String>,
    /// How high.
    #[serde(deserialize_with = "at_most_one")]
    height: f64,
    #[serde(skip)]
    count: u64,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum How {
    /// Slowly.
    #[default]
    Softly,
    /// At once.
    VeryHard,
}

fn at_most_one<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let height = f64::deserialize(deserializer)?;
    if height <= 1.0 { Ok(height) } else { Err(serde::de::Error::custom(format_args!("`{height}` is too high"))) }
}

impl Handler for Stumble {}

/// Has no settings at all.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Bare;

impl Handler for Bare {}

fn own(mut start: Start) -> Start {
    start.registry = Registry::default().with::<Stumble>("stumble_on").with::<Bare>("bare");
    start
}

#[test]
fn a_users_own_handler_has_flags_variables_and_keys() {
    let flags = "--handler 5:stumble_on,5:bare --handler-stumble-on-every 3 --handler-stumble-on-how very_hard \
                 --handler-stumble-on-where-it-hurts 7 --handler-stumble-on-keys [\"a\",\"b\"] --handler-stumble-on-buffer 9";
    let config = own(Start::with(flags)).and_env("VAURIEN_HANDLER_STUMBLE_ON_HEIGHT", "0.5").config();
    assert_eq!(config.proxies[0].mix.to_string(), "5:stumble_on,5:bare");
    assert_eq!(config.proxies[0].buffer, Some(9));
    let file = "backend = 'a:1'\n[handlers.stumble_on]\nhow = 'softly'\nkeys = ['a']\nheight = 1\n[handlers.bare]\n";
    own(Start::file(file)).config();
    let help = own(Start::args("--help")).help();
    for line in [
        "--handler-stumble-on-every <CALLS>",
        "Every so manieth call [default: 0]",
        "[default: softly]",
        "  stumble_on  Stumbles now and then\n",
        "  bare        Has no settings at all\n",
    ] {
        assert!(help.contains(line), "{line}\n{help}");
    }
    assert!(!help.contains("stumble-on-count") && !help.contains("paragraph"), "{help}");
}

#[test]
fn a_users_own_handler_is_completed_and_in_the_manual() {
    let mut start = own(Start::args("--completions bash"));
    let script = start.help();
    for text in [
        "--handler-stumble-on-every",
        "-W \"softly very_hard\"",
        "-W \"abort blackout corrupt cut delay dummy error goaway hang miss reply reset slow tls transient stumble_on bare\"",
    ] {
        assert!(script.contains(text), "{text}\n{script}");
    }
    // Under the name of the user's own program.
    assert!(script.contains("complete -F _vaurien "), "{script}");
    start.program = "/usr/bin/stumbler".into();
    assert!(start.help().contains("complete -F _stumbler "));
    let page = own(Start::args("--man")).help();
    for text in ["handler\\-stumble\\-on\\-every", "\nStumbles now and then\n"] {
        assert!(page.contains(text), "{text}\n{page}");
    }
}

#[test]
fn a_users_own_settings_are_checked_like_the_others() {
    let file = "backend = 'a:1'\n[handlers.stumble_on]\nevery = -1\nhow = 'softy'\nkeys = 'a'\nheight = 2\ncount = 1\n\
                [handlers.bare]\nwhy = 1\n";
    assert_eq!(
        own(Start::file(file)).lines(),
        [
            "vaurien.toml:3: handlers.stumble_on.every: `-1` is not a whole number of calls, 0 or more",
            "vaurien.toml:4: handlers.stumble_on.how: `softy` is not one of softly, very_hard, did you mean `softly`?",
            "vaurien.toml:5: handlers.stumble_on.keys: `a` is not of type array",
            "vaurien.toml:6: handlers.stumble_on.height: `2` is too high",
            "vaurien.toml:7: unknown key `count` in `[handlers.stumble_on]` (known: every, how, where_it_hurts, keys, \
             height, protocol, buffer, keep_alive, reuse_socket)",
            "vaurien.toml:9: unknown key `why` in `[handlers.bare]` (known: protocol, buffer, keep_alive, reuse_socket)",
        ]
    );
}

#[test]
fn a_user_can_put_a_handler_in_anothers_place() {
    let registry = Registry::default().with::<Dummy>("delay");
    assert_eq!(
        registry.names().collect::<Vec<_>>(),
        [
            "abort",
            "blackout",
            "corrupt",
            "cut",
            "delay",
            "dummy",
            "error",
            "goaway",
            "hang",
            "miss",
            "reply",
            "reset",
            "slow",
            "tls",
            "transient"
        ]
    );
    let start = Start { registry, ..Start::with("--handler-delay-sleep 1") };
    assert!(start.lines()[0].starts_with("unknown option `--handler-delay-sleep`"));
}

#[test]
#[should_panic(expected = "invalid handler name `My Handler`")]
fn a_name_must_fit_into_flags() {
    let _ = Registry::default().with::<Dummy>("My Handler");
}

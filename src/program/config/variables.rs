//! The program's variables: `VAURIEN_BACKEND` for `--backend`. An empty variable counts as unset.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::entry::{Entry, Origin};
use super::schema::{Schema, Setting};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::program::command::GIVEN;
use crate::program::tls::Folder;

/// The variable for `--config`.
pub(crate) const FILE: &str = "VAURIEN_CONFIG";

/// What the names of all variables of the program begin with.
const PREFIX: &str = "VAURIEN_";

/// Variables that do not count as unset when they are empty: the API would be open by mistake.
const NEVER_EMPTY: [&str; 2] = ["VAURIEN_HTTP_TOKEN", "VAURIEN_HTTP_TOKEN_FILE"];

/// Variables that say where a user keeps data.
const FOLDERS: [&str; 2] = ["HOME", "XDG_DATA_HOME"];

pub(crate) struct Variables {
    values: BTreeMap<String, String>,
    /// Those of [`FOLDERS`].
    folders: BTreeMap<String, OsString>,
    /// What [`GIVEN`] names.
    given: Vec<(String, String)>,
}

impl Variables {
    /// The program's variables among `environment`.
    pub(crate) fn new(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let (mut values, mut folders) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            if FOLDERS.contains(&name) {
                folders.insert(name.to_owned(), value);
                continue;
            }
            if !name.starts_with(PREFIX) {
                continue;
            }
            match value.into_string() {
                Ok(value) => drop(values.insert(name.to_owned(), value)),
                Err(_) => diagnostics.push(Diagnostic::new(name, "the value is not UTF-8")),
            }
        }
        let given = values.get(GIVEN).map(String::as_str).unwrap_or_default();
        let given = given.split(' ').filter_map(|given| given.split_once('='));
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { values, folders, given }
    }

    /// Where the authority of `--tls auto` is kept, unless an option says it.
    pub(crate) fn authority(&self) -> Folder {
        Folder::of_user(|name| self.folders.get(name).cloned())
    }

    /// The value of a variable. What an outer vaurien has set for its command is not an option of this one.
    pub(crate) fn asked(&self, name: &str) -> Option<String> {
        self.value(name).filter(|value| !self.is_given(name, value) && !names_a_daemon(name, value))
    }

    /// The value of a variable that says what there is already: an outer vaurien has set it for its command, or it names a daemon.
    pub(crate) fn told(&self, name: &str) -> Option<String> {
        self.value(name).filter(|value| self.is_given(name, value) || names_a_daemon(name, value))
    }

    pub(crate) fn entries(&self, schema: &Schema<'_>) -> Vec<Entry> {
        let entry = |setting: &Setting<'_>| {
            let variable = setting.variable();
            let value = setting.field.parse(&self.asked(&variable)?);
            Some(setting.entry(value, Origin::Named(variable)))
        };
        schema.all().filter_map(entry).collect()
    }

    /// Warnings about variables that no option has and no outer vaurien has set.
    pub(crate) fn unknown(&self, schema: &Schema<'_>) -> Vec<String> {
        let known: Vec<String> = schema.all().map(Setting::variable).chain([FILE, GIVEN].map(str::to_owned)).collect();
        let is_unknown = |name: &&String| {
            !known.contains(name) && self.asked(name).is_some_and(|value| !is_of_a_service(name, &value))
        };
        let warning = |name: &String| {
            // All begin alike, which is not to make up for typos.
            let parts = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
            let near = nearest(name.trim_start_matches(PREFIX), parts);
            let hint = near.map_or_else(|| "see --help".to_owned(), |near| format!("did you mean `{PREFIX}{near}`?"));
            format!("`{name}` is no variable of vaurien, {hint}")
        };
        let of_ctl =
            self.values.iter().filter(|(name, value)| names_a_daemon(name, value) && !self.is_given(name, value));
        let of_ctl = of_ctl.map(|(name, value)| {
            format!("{name}: `{value}` is where `vaurien ctl` finds a daemon, add `--http` to serve the API")
        });
        self.values.keys().filter(is_unknown).map(warning).chain(of_ctl).collect()
    }

    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| !value.is_empty() || NEVER_EMPTY.contains(&name)).cloned()
    }

    fn is_given(&self, name: &str, value: &str) -> bool {
        self.given.iter().any(|(given, told)| given == name && told == value)
    }
}

/// Whether Kubernetes or Docker sets such a variable for a service whose name begins with `vaurien`:
/// `VAURIEN_SERVICE_HOST`, `VAURIEN_PORT=tcp://10.0.0.1:6379`, `VAURIEN_PORT_6379_TCP_ADDR`.
fn is_of_a_service(name: &str, value: &str) -> bool {
    let is_address = value.starts_with("tcp://") || value.starts_with("udp://");
    let behind_port = name.split("_PORT_").skip(1).any(|rest| rest.starts_with(|char: char| char.is_ascii_digit()));
    is_address || behind_port || name.contains("_SERVICE_HOST") || name.contains("_SERVICE_PORT")
}

/// Whether it says where a daemon is, and nothing about this one.
fn names_a_daemon(name: &str, value: &str) -> bool {
    name == "VAURIEN_HTTP" && value.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Registry;

    fn warnings(assignments: &[&str]) -> Vec<String> {
        let pairs = assignments.iter().map(|assignment| assignment.split_once('=').unwrap());
        let mut diagnostics = Diagnostics::default();
        let variables = Variables::new(pairs.map(|(name, value)| (name.into(), value.into())), &mut diagnostics);
        variables.unknown(&Schema::new(&Registry::default()))
    }

    #[test]
    fn unknown_variables_have_the_nearest_name() {
        assert_eq!(
            warnings(&["VAURIEN_HANDLER_DELAY_SLEP=1", "VAURIEN_FOO=1", "VAURIEN_HANDLER=delay", "OTHER=1"]),
            [
                "`VAURIEN_FOO` is no variable of vaurien, see --help",
                "`VAURIEN_HANDLER_DELAY_SLEP` is no variable of vaurien, did you mean `VAURIEN_HANDLER_DELAY_SLEEP`?"
            ]
        );
        let empty: [&str; 0] = [];
        assert_eq!(warnings(&["VAURIEN_FOO=", "VAURIEN_CONFIG=a", "VAURIEN_GIVEN="]), empty);
    }

    #[test]
    fn what_others_set_is_no_mistake() {
        let given = "VAURIEN_GIVEN=VAURIEN_PROXY_HOST=127.0.0.1 VAURIEN_PROXY_CACHE=127.0.0.1:1";
        let empty: [&str; 0] = [];
        assert_eq!(warnings(&[given, "VAURIEN_PROXY_HOST=127.0.0.1", "VAURIEN_PROXY_CACHE=127.0.0.1:1"]), empty);
        assert_eq!(warnings(&[given, "VAURIEN_PROXY_HOST=::1"]).len(), 1, "it has another value");
        let service = [
            "VAURIEN_SERVICE_HOST=10.0.0.1",
            "VAURIEN_SERVICE_PORT_REDIS=1",
            "VAURIEN_PORT=tcp://10.0.0.1:1",
            "VAURIEN_PORT_1_TCP_ADDR=10.0.0.1",
            "VAURIEN_CACHE_PORT_1_TCP_PROTO=tcp",
        ];
        assert_eq!(warnings(&service), empty);
    }
}

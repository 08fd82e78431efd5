//! Which key belongs to what: to the program, to one of its sections, to a proxy, to a handler.

use super::options::{Options, Scope};
use super::tree::Key;
use super::values::{Asked, Place};
use crate::diagnostic::{Diagnostic, shown};
use crate::plan::mix::unknown_handler;
use crate::proxy::config::{DEFAULT, check_name};
use crate::settings::Given;

/// Where the settings of handlers are.
pub(crate) const HANDLERS: &str = "handlers";

/// Where proxies are, if there is more than the one.
pub(super) const PROXIES: &str = "proxies";

/// A proxy that has a name in the file, and where it begins.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// What keys ask for.
pub(crate) struct Walk<'a> {
    options: &'a Options<'a>,
    /// In the order of the lines, each key by itself right or wrong.
    pub(crate) keys: Vec<Result<Asked<'a>, Diagnostic>>,
    /// The proxies that have names; none in the single form.
    pub(crate) proxies: Option<Vec<Named>>,
}

impl<'a> Walk<'a> {
    fn new(options: &'a Options<'a>) -> Self {
        Self { options, keys: Vec::new(), proxies: None }
    }

    /// All keys of a file.
    pub(crate) fn file(options: &'a Options<'a>, keys: &[Key]) -> Self {
        let mut walk = Self::new(options);
        let proxies = keys.iter().find(|key| key.name == PROXIES);
        let names = proxies.and_then(|key| key.table.as_ref()).into_iter().flatten().map(|key| key.name.as_str());
        let first = proxies.map(|_| names.into_iter().next().unwrap_or("cache"));
        for key in keys {
            match (key.name.as_str(), first) {
                (PROXIES, _) => walk.proxies(key),
                (name, _) if Scope::SECTIONS.iter().any(|(section, _)| *section == name) => walk.section(key),
                (_, None) => walk.top(key),
                (_, Some(first)) => walk.top_beside_proxies(key, first),
            }
        }
        walk
    }

    /// The keys of one proxy called `name`; `within` is what stands before each when its whole path is written.
    pub(crate) fn proxy(options: &'a Options<'a>, name: &str, within: &str, keys: &[Key]) -> Self {
        let mut walk = Self::new(options);
        walk.proxy_keys(name, within, keys);
        walk
    }

    fn proxies(&mut self, key: &Key) {
        let proxies = key.table.as_deref();
        let each = format!("write a table for each proxy, `[{PROXIES}.cache]`");
        match proxies {
            None => self.wrong(key, PROXIES, format!("`{PROXIES}` is {}, {each}", shown(&key.value))),
            Some([]) => self.wrong(key, PROXIES, format!("`[{PROXIES}]` is empty, {each}")),
            Some(_) => {}
        }
        let mut named = Vec::new();
        for key in proxies.into_iter().flatten() {
            let (name, path) = (&key.name, format!("{PROXIES}.{}", key.name));
            if let Err(mistake) = check_name(name) {
                self.wrong(key, &path, mistake.what().to_owned());
            } else if let Some(keys) = &key.table {
                named.push(Named { name: name.clone(), place: Place::new(&key.at, &path) });
                self.proxy_keys(name, &format!("{path}."), keys);
            } else {
                self.wrong(key, &path, format!("`{path}` is {}, write a table, `[{path}]`", shown(&key.value)));
            }
        }
        self.proxies = Some(named);
    }

    /// A table of the program: that it is there turns on what it is about.
    fn section(&mut self, key: &Key) {
        let Some((name, scope)) = Scope::SECTIONS.iter().find(|(name, _)| *name == key.name) else { return };
        let Some(keys) = &key.table else {
            // What is there may be secret.
            return self.wrong(key, name, format!("`{name}` is no table, write `[{name}]`"));
        };
        if let Ok(setting) = self.options.find(std::slice::from_ref(scope), "enabled") {
            let place = Place::new(&key.at, *name);
            self.keys.push(Ok(Asked { setting, given: Given::Value(true.into()), place, of: String::new() }));
        }
        for key in keys {
            self.setting("", std::slice::from_ref(scope), &format!("{name}."), key, &[]);
        }
    }

    /// A key at the top of a file with one proxy.
    fn top(&mut self, key: &Key) {
        match (key.name.as_str(), &key.table) {
            ("proxy", Some(_)) => {
                self.wrong(key, "proxy", format!("`proxy` is where to listen, proxies are in `[{PROXIES}.cache]`"));
            }
            _ if self.beside_settings(DEFAULT, "", key) => {}
            _ => {
                let tables = [HANDLERS, PROXIES, "run", "http", "statsd"];
                self.setting(DEFAULT, &[Scope::Proxy, Scope::Program], "", key, &tables);
            }
        }
    }

    /// A key at the top of a file that has proxies with names, of which `first` is one.
    fn top_beside_proxies(&mut self, key: &Key, first: &str) {
        let name = key.name.as_str();
        if name == HANDLERS {
            let handlers = key.table.as_ref().and_then(|table| table.first());
            let handler = handlers.map_or("delay", |handler| &handler.name);
            let table = table_of(first, Some(handler));
            self.wrong(key, HANDLERS, format!("`{HANDLERS}` belongs to one proxy, write `{table}`"));
        } else if self.options.find(&[Scope::Proxy], name).is_ok() {
            let table = table_of(first, None);
            self.wrong(key, name, format!("`{name}` belongs to one proxy, write it under `{table}`"));
        } else {
            self.setting("", &[Scope::Program], "", key, &[PROXIES, "run", "http", "statsd"]);
        }
    }

    fn proxy_keys(&mut self, proxy: &str, within: &str, keys: &[Key]) {
        for key in keys {
            if !self.beside_settings(proxy, within, key) {
                self.setting(proxy, &[Scope::Proxy], within, key, &[HANDLERS]);
            }
        }
    }

    /// What stands beside a proxy's own settings: the tables of handlers, and what was meant to be one. Whether it was that.
    fn beside_settings(&mut self, proxy: &str, within: &str, key: &Key) -> bool {
        let name = key.name.as_str();
        let path = format!("{within}{name}");
        match (name, &key.table) {
            (HANDLERS, Some(handlers)) => self.handlers(proxy, &path, handlers),
            (HANDLERS, None) => {
                let value = shown(&key.value);
                self.wrong(
                    key,
                    &path,
                    format!("`{path}` is {value}, write a table for each handler, `[{path}.delay]`"),
                );
            }
            ("handler", Some(_)) => {
                let settings = format!("settings are in `[{within}{HANDLERS}.delay]`");
                self.wrong(key, &path, format!("`handler` is a name or a mix, {settings}"));
            }
            (name, Some(_)) if self.options.registry.get(name).is_some() => {
                self.wrong(key, &path, format!("unknown key `{path}`, did you mean `{within}{HANDLERS}.{name}`?"));
            }
            _ => return false,
        }
        true
    }

    /// The tables of handlers within `handlers`, which is the path to them.
    fn handlers(&mut self, proxy: &str, handlers: &str, tables: &[Key]) {
        for key in tables {
            let path = format!("{handlers}.{}", key.name);
            if self.options.registry.get(&key.name).is_none() {
                self.wrong(key, &path, unknown_handler(&key.name, self.options.registry));
            } else if let Some(settings) = &key.table {
                let scope = [Scope::Handler(key.name.clone())];
                for key in settings {
                    self.setting(proxy, &scope, &format!("{path}."), key, &[]);
                }
            } else {
                self.wrong(key, &path, format!("`{path}` is {}, write a table, `[{path}]`", shown(&key.value)));
            }
        }
    }

    /// `tables` are known beside the options of `scopes`.
    fn setting(&mut self, proxy: &str, scopes: &[Scope], within: &str, key: &Key, tables: &[&str]) {
        let path = format!("{within}{}", key.name);
        match self.options.find(scopes, &key.name) {
            Ok(setting) => {
                let (given, place) = (Given::Value(key.value.clone()), Place::new(&key.at, path));
                self.keys.push(Ok(Asked { setting, given, place, of: proxy.to_owned() }));
            }
            Err(unknown) => {
                let is_programs = scopes.contains(&Scope::Program);
                let table = within.trim_end_matches('.');
                let of = if table.is_empty() { String::new() } else { format!(" in `[{table}]`") };
                let what = match section_of(self.options, &key.name).filter(|_| is_programs) {
                    Some(section) => format!("`{path}` belongs to `[{section}]`, write it there"),
                    None => unknown.or(tables, key.table.is_some()).message(&of),
                };
                self.wrong(key, &path, what);
            }
        }
    }

    fn wrong(&mut self, key: &Key, path: &str, what: String) {
        self.keys.push(Err(Diagnostic::new(Place::new(&key.at, path).line(), what)));
    }
}

/// The table of the program's own that has this key.
fn section_of(options: &Options<'_>, key: &str) -> Option<&'static str> {
    let has = |scope: &Scope| options.find(std::slice::from_ref(scope), key).is_ok();
    Scope::SECTIONS.iter().find(|(_, scope)| has(scope)).map(|(name, _)| *name)
}

/// The table in the file of what belongs to one proxy, or to a handler of one.
pub(crate) fn table_of(proxy: &str, handler: Option<&str>) -> String {
    let handler = handler.map(|name| format!(".{HANDLERS}.{name}")).unwrap_or_default();
    format!("[{PROXIES}.{proxy}{handler}]")
}

//! A proxy's configuration, made of checked values.

use super::options::Scope;
use super::values::Values;
use super::walk::Named;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::net::address::Address;
use crate::plan::mix::Mix;
use crate::proxy::config::{Keys, ProxyConfig};
use crate::proxy::options::ProxyOptions;

/// Never without a mistake where the result is of no use.
pub(super) fn config(
    name: &str,
    values: &mut Values<'_>,
    origin: &Origin<'_>,
    mistakes: &mut Diagnostics,
) -> Result<ProxyConfig, Diagnostics> {
    let spec = values.spec();
    let options: ProxyOptions = values.build(&Scope::Proxy)?;
    if options.backend.is_none() && !values.is_wrong("backend") {
        mistakes.extend(origin.no_backend());
    }
    let itself = options.backend.as_ref().filter(|backend| **backend == options.proxy);
    if let Some(backend) = itself.filter(|_| !values.is_wrong("proxy")) {
        mistakes.push(origin.own_backend(backend));
    }
    let mix = values.mix(&origin.within()).unwrap_or_else(|wrong| {
        mistakes.extend(wrong);
        Mix::default()
    });
    values.settle(&mix, mistakes);
    let options: ProxyOptions = values.build(&Scope::Proxy)?;
    let keys = Keys { all: spec.complete(values.registry()), given: spec.into_keys() };
    Ok(ProxyConfig::from_options(name, options, mix, keys))
}

/// From where a proxy was asked for, which is what a mistake has to name.
pub(super) enum Origin<'a> {
    /// The only one, by flags, variables and file; a demo has its own backend.
    Only {
        demo: bool,
        /// Whether there is a file that cannot be read, and may well have it all.
        unread: bool,
    },
    /// One of several in the file.
    File(&'a Named),
    /// JSON.
    Api,
}

impl Origin<'_> {
    /// What stands before a key when its whole path is written.
    fn within(&self) -> String {
        match self {
            Self::File(named) => format!("{}.", named.place.key()),
            Self::Only { .. } | Self::Api => String::new(),
        }
    }

    fn no_backend(&self) -> Diagnostics {
        let mistake = match self {
            Self::Only { demo, unread } if *demo || *unread => return Diagnostics::default(),
            Self::Only { .. } => Diagnostic::new(
                "",
                "the backend is missing, give `--backend HOST:PORT`, or VAURIEN_BACKEND, or `backend` in the file",
            ),
            Self::File(named) => {
                Diagnostic::new(&named.place, "the backend is missing, write `backend = \"HOST:PORT\"`")
            }
            Self::Api => Diagnostic::new("backend", "the backend is missing, give `HOST:PORT`"),
        };
        mistake.into()
    }

    fn own_backend(&self, address: &Address) -> Diagnostic {
        let itself = format!("`{address}` is both `backend` and `proxy`, listen somewhere else");
        match self {
            Self::Only { .. } => Diagnostic::new("", format_args!("{itself}: `--proxy HOST:PORT`")),
            Self::File(named) => Diagnostic::new(&named.place, itself),
            Self::Api => Diagnostic::new("proxy", itself),
        }
    }
}

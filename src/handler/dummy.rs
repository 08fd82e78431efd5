//! `dummy`: nothing.

use super::{Handler, Scope};

/// Passes everything on unaltered, both ways.
#[derive(Debug)]
pub struct Dummy;

impl Handler for Dummy {
    fn scope(&self) -> Scope {
        Scope::Nothing
    }
}

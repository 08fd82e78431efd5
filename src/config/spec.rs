//! shim
use super::{Mistake, Mistakes, ProxyConfig};
use crate::handler::Registry;
use serde_json::{Map, Value};
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Spec(Map<String, Value>);
impl Spec {
    pub(crate) fn new(keys: Map<String, Value>) -> Self {
        Self(keys)
    }
    pub(crate) fn patched(&self, patch: &Map<String, Value>) -> Self {
        let _ = patch;
        self.clone()
    }
    pub(crate) fn check(&self, name: &str, registry: &Registry) -> Result<ProxyConfig, Mistakes> {
        let _ = (name, registry);
        Err(Mistakes::default())
    }
    pub(crate) fn complete(&self, registry: &Registry) -> Map<String, Value> {
        let _ = registry;
        self.0.clone()
    }
}
pub(crate) fn check_name(_: &str) -> Result<(), Mistake> {
    Ok(())
}
pub(crate) fn clash(_: &[&ProxyConfig]) -> Mistakes {
    Mistakes::default()
}

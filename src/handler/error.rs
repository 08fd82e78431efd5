//! `error`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Handler;

/// Answers with junk, or in http with a 500, 501, 502 or 503; the backend is not called.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Error {
    /// Put junk into the backend's own reply
    ///
    /// 100 random bytes in the middle of it; no effect with `http`.
    pub inject: bool,
    /// This many calls pass unharmed first
    ///
    /// Counted over the whole proxy, of the calls that reach the handler.
    #[schemars(extend("x-unit" = "calls"))]
    pub warmup: u64,
}

impl Handler for Error {}

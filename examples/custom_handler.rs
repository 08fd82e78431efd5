//! A program with a handler of its own.
//!
//! During a failover, clients of Redis may reach a server that has become a replica: it answers reads and refuses writes. Does
//! your client find the new primary, or does it lose its writes? Try it, with a Redis on its usual port:
//!
//! ```sh
//! cargo run --example custom_handler -- --backend localhost:6379 --protocol redis --handler readonly
//! redis-cli -p 8000 set color red    # (error) READONLY You can't write against a read only replica.
//! redis-cli -p 8000 get color        # the old value
//! ```
//!
//! `--help` lists `readonly` and its options like all others. They can also be set in the file:
//!
//! ```toml
//! backend = "localhost:6379"
//! protocol = "redis"
//! handler = "10:readonly,5:delay"
//!
//! [handlers.readonly]
//! commands = ["set", "del"]
//! sleep = 0.25
//! ```

use std::process::ExitCode;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vaurien::{Answer, Call, Handler, Registry, Result, Seconds, Verdict};

/// Refuses writes as a Redis replica does
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Readonly {
    /// What is a write: a list of commands
    commands: Vec<String>,
    /// How long a refusal takes
    sleep: Seconds,
}

impl Default for Readonly {
    fn default() -> Self {
        let writes = ["set", "del", "expire", "incr", "decr", "hset", "lpush", "rpush", "sadd", "zadd", "xadd"];
        Self { commands: writes.map(str::to_owned).into(), sleep: Seconds::default() }
    }
}

impl Handler for Readonly {
    async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        if !self.commands.iter().any(|write| write.as_bytes().eq_ignore_ascii_case(call.command())) {
            return Ok(Verdict::Pass);
        }
        call.sleep(self.sleep.duration()).await?;
        Ok(Verdict::Answer(Answer::new("-READONLY You can't write against a read only replica.\r\n")))
    }
}

fn main() -> ExitCode {
    vaurien::main(&Registry::default().with::<Readonly>("readonly"))
}

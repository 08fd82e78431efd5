//! Processor time and memory of a process, from `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn new(pid: u32) -> Self {
        Self(pid)
    }

    /// The user and system time of all its threads.
    pub(crate) fn processor_time(self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The name, in parentheses, may contain anything. The 12th and 13th fields after it are user and system time.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_ascii_whitespace().skip(11).take(2).flat_map(str::parse::<u64>);
        // Linux counts 100 of these ticks (USER_HZ) per second on every machine.
        Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
    }

    /// Its private memory in bytes, without the system's memory for its sockets.
    pub(crate) fn memory(self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        let kib = line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("its memory is not known"))
    }
}

//! The figures of this process, as the system reports them.

/// The figures that every Prometheus client library exports.
#[derive(Debug, Clone)]
pub(crate) struct ProcessFigures {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) open_fds: u64,
    /// Unset if there is no limit.
    pub(super) max_fds: Option<u64>,
    /// In seconds since 1970.
    pub(super) start_time: f64,
    pub(super) threads: u64,
}

impl ProcessFigures {
    /// This process's figures now. It reads a few files of `/proc`: some milliseconds with ten thousand open descriptors.
    #[cfg(target_os = "linux")]
    #[expect(clippy::cast_precision_loss, reason = "ticks and seconds are far below 2^52")]
    pub(crate) fn now() -> Option<Self> {
        use procfs::process::{LimitValue, Process};

        let process = Process::myself().ok()?;
        let stat = process.stat().ok()?;
        let ticks = procfs::ticks_per_second() as f64;
        let max_fds = match process.limits().ok()?.max_open_files.soft_limit {
            LimitValue::Unlimited => None,
            LimitValue::Value(limit) => Some(limit),
        };
        Some(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            resident_bytes: stat.rss * procfs::page_size(),
            open_fds: process.fd_count().ok()? as u64,
            max_fds,
            start_time: procfs::boot_time_secs().ok()? as f64 + stat.starttime as f64 / ticks,
            threads: u64::try_from(stat.num_threads).ok()?,
        })
    }

    /// Only Linux reports them.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn now() -> Option<Self> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn they_are_this_process_own() {
        let before = ProcessFigures::now().unwrap();
        let files: Vec<_> = (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
        let now = ProcessFigures::now().unwrap();
        // Other tests open and close files meanwhile.
        assert!(now.open_fds >= 100 && before.open_fds > 0, "{before:?} {now:?}");
        assert!(now.max_fds.is_none_or(|max| max >= now.open_fds), "{now:?}");
        assert!(now.cpu_seconds >= before.cpu_seconds, "{before:?} {now:?}");
        assert!(now.resident_bytes > 1 << 20 && now.threads >= 2, "{now:?}");
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((since_1970 - 3600.0..since_1970 + 60.0).contains(&now.start_time), "{now:?} at {since_1970}");
        drop(files);
    }
}

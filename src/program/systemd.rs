//! Notifies systemd of the state of the service (`Type=notify`, `Type=notify-reload`).
//!
//! Does nothing without `NOTIFY_SOCKET`. A notification that fails is logged at debug level: the service goes on.

use sd_notify::NotifyState;
use tracing::debug;

/// The service is ready, also after reloading.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The service reloads its configuration, until it is [`ready`].
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => debug!("cannot notify systemd of the reload: {error}"),
    }
}

/// The service is stopping.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!("cannot notify systemd of {state:?}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;
    use std::process::{Command, Output};

    use super::*;

    /// Set in the environment of the child process.
    const CHILD: &str = "VAURIEN_TEST_NOTIFIES_SYSTEMD";

    /// The service. In the test run itself it does nothing.
    #[test]
    fn child() {
        if env::var_os(CHILD).is_some() {
            ready();
            reloading();
            ready();
            stopping();
        }
    }

    /// Runs [`child`] in a process of its own, as the environment cannot be changed in this one.
    fn run(socket: Option<&Path>) -> Output {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "program::systemd::tests::child"]).env(CHILD, "1").env_remove("NOTIFY_SOCKET");
        if let Some(socket) = socket {
            child.env("NOTIFY_SOCKET", socket);
        }
        child.output().unwrap()
    }

    #[test]
    fn systemd_is_notified_of_each_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let output = run(Some(&path));
        assert!(output.status.success(), "{output:?}");
        let mut datagram = [0; 256];
        let mut next = || {
            let length = socket.recv(&mut datagram).unwrap();
            String::from_utf8(datagram[..length].to_vec()).unwrap()
        };
        assert_eq!(next(), "READY=1\n");
        let reloading = next();
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|time| time.strip_suffix('\n'));
        assert!(time.is_some_and(|time| time.parse::<u64>().is_ok_and(|time| time > 0)), "{reloading}");
        assert_eq!(next(), "READY=1\n");
        assert_eq!(next(), "STOPPING=1\n");
        assert!(socket.recv(&mut [0; 1]).is_err());
    }

    #[test]
    fn without_a_listener_nothing_happens() {
        let folder = tempfile::tempdir().unwrap();
        for socket in [None, Some(&*folder.path().join("nobody"))] {
            let output = run(socket);
            let stdout = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && stdout.contains("1 passed"), "{output:?}");
        }
    }
}

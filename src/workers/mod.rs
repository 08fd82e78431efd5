//! The threads that serve connections. Each has a runtime of its own; a connection stays where it begins.

pub(crate) mod busy; // tasks that do much take turns
mod per_worker; // a value for each

use std::io;
use std::num::NonZero;
use std::sync::mpsc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub(crate) use per_worker::PerWorker;
#[cfg(test)]
pub(crate) use per_worker::enter;

/// How many ready sockets are served before the runtime polls for more. With 128 connections in ping-pong the slowest of a
/// hundred calls takes 0.81 of the time that it takes with tokio's default of 1024.
const EVENTS: usize = 16;

/// A worker hands a connection over if it has at least two more than the one with the fewest, and more than an eighth more.
const ONE_IN: usize = 8;

/// The threads that serve connections. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Workers(Box<[Worker]>);

/// A thread, or the caller's runtime, that serves connections.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) runtime: Handle,
    connections: TaskTracker,
    /// Ends its thread when it is dropped. The caller's runtime has none.
    _thread: Option<oneshot::Sender<()>>,
}

impl Workers {
    /// The caller's runtime is the only worker.
    pub(crate) fn caller() -> Self {
        Self([Worker { runtime: Handle::current(), connections: TaskTracker::new(), _thread: None }].into())
    }

    /// Starts this many threads, without a number one for each core that the process may use.
    ///
    /// # Errors
    ///
    /// The system has no thread, or no descriptor, left.
    pub(crate) fn start(count: Option<NonZero<usize>>) -> io::Result<Self> {
        let count = count.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
        per_worker::expect(count);
        (0..count).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    pub(crate) fn all(&self) -> &[Worker] {
        &self.0
    }

    /// The place of the worker for a connection that the one in `place` accepts: the same, unless another has clearly fewer.
    pub(crate) fn for_connection(&self, place: usize) -> usize {
        let connections = |worker: &Worker| worker.connections.len();
        let fewest = self.0.iter().map(connections).enumerate().min_by_key(|(_, connections)| *connections);
        match fewest {
            Some((other, fewest)) if connections(&self.0[place]) > fewest + 1 + fewest / ONE_IN => other,
            _ => place,
        }
    }

    /// Waits until all connections have ended. None may begin any more.
    pub(crate) async fn finished(&self) {
        for worker in &self.0 {
            worker.connections.close();
            worker.connections.wait().await;
        }
    }
}

impl Worker {
    fn start(place: usize) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, runtime) = mpsc::channel();
        // A runtime must not be dropped within another: it is created and dropped on its thread.
        thread::Builder::new().name(format!("worker-{place}")).spawn(move || {
            per_worker::enter(place);
            let runtime = match Builder::new_current_thread().max_io_events_per_tick(EVENTS).enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            runtime.spawn(busy::take_turns());
            let _ = started.send(Ok(runtime.handle().clone()));
            // The other end is never sent to, only dropped.
            let _ = runtime.block_on(stopped);
            // Looking up a name cannot be cancelled: do not wait for it.
            runtime.shutdown_background();
        })?;
        let runtime = runtime.recv().map_err(io::Error::other)??;
        Ok(Self { runtime, connections: TaskTracker::new(), _thread: Some(stop) })
    }

    /// Serves a connection.
    pub(crate) fn serve(&self, connection: impl Future<Output = ()> + Send + 'static) {
        self.connections.spawn_on(connection, &self.runtime);
    }
}

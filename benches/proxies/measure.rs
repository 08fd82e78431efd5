//! One measurement: start everything, wait, read the counters.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::runtime;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use crate::backend::Backend;
use crate::cases::Case;
use crate::contenders::{Contender, Running};
use crate::http2;
use crate::load::{self, Connection, Load, Target};
use crate::pace;
use crate::process::Process;
use crate::tally::Tally;

/// The beginning of the load, which is not measured.
const WARM_UP: Duration = Duration::from_millis(200);

/// How long a proxy may take to finish its work for new connections.
const SETTLE: Duration = Duration::from_millis(50);

/// The result of one measurement.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) calls: f64,
    pub(crate) bytes: f64,
    /// Bytes of a request and its reply together.
    pub(crate) exchange: f64,
    /// Calls that were due, if the load has fixed times.
    pub(crate) due: f64,
    /// The durations of calls, ascending.
    pub(crate) times: Vec<Duration>,
    /// The proxy's processor time, in seconds.
    pub(crate) processor: Option<f64>,
    /// By how many bytes the proxy grew per connection.
    pub(crate) memory: Option<f64>,
}

/// The order of contenders in a round: reversed in every other round.
pub(crate) fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |at| if round.is_multiple_of(2) { at } else { count - 1 - at })
}

/// Measures `case` through `contender` for the duration of `window`.
pub(crate) fn measure(contender: &Contender, case: &Case, window: Duration) -> anyhow::Result<Sample> {
    if let Load::Streams { connections, at_once } = case.load {
        return http2::measure(contender, case, (connections, at_once), window);
    }
    let tally = Arc::new(Tally::default());
    let backend = Backend::start(&case.talk, &tally)?;
    let proxy = contender.start(backend.address(), &case.arguments, case.tls.as_deref(), false)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let sample = runtime.block_on(run(&proxy, case, &tally, window));
    sample.with_context(|| format!("{}: {contender}", case.name))
}

async fn run(proxy: &Running, case: &Case, tally: &Arc<Tally>, window: Duration) -> anyhow::Result<Sample> {
    let target = Target { address: proxy.address(), tls: case.tls.clone() };
    // The first connection waits until the proxy has started.
    let first = load::open(&target, 1, tally).await?;
    sleep(SETTLE).await;
    let before = memory(proxy)?;
    let connections = load::open(&target, case.load.connections(), tally).await?;
    sleep(SETTLE).await;
    let opened = connections.len() as f64;
    let grown = before.zip(memory(proxy)?).map(|(before, after)| after - before);
    let mut tasks = start(&target, case, connections, tally);
    pass(WARM_UP, &mut tasks).await?;
    let begun = Reading::take(proxy, tally)?;
    tally.take_times();
    pass(window, &mut tasks).await?;
    let ended = Reading::take(proxy, tally)?;
    let mut times = tally.take_times();
    times.sort_unstable();
    drop(first);
    Ok(Sample {
        seconds: (ended.at - begun.at).as_secs_f64(),
        calls: (ended.calls - begun.calls) as f64,
        bytes: (ended.bytes - begun.bytes) as f64,
        due: (ended.due - begun.due) as f64,
        exchange: (case.talk.request.len() + case.talk.reply.len()) as f64,
        times,
        processor: ended.processor.zip(begun.processor).map(|(ended, begun)| ended.saturating_sub(begun).as_secs_f64()),
        memory: grown.map(|grown| grown / opened),
    })
}

type Tasks = JoinSet<io::Result<Infallible>>;

fn start(target: &Target, case: &Case, mut connections: Vec<Connection>, tally: &Arc<Tally>) -> Tasks {
    let (mut tasks, talk) = (JoinSet::new(), &case.talk);
    match case.load {
        Load::Calls { at_once, pipeline, .. } => {
            for left in (1..=at_once).rev() {
                let share = connections.split_off(connections.len() - connections.len() / left);
                tasks.spawn(load::call(share, pipeline, talk.clone(), tally.clone()));
            }
            if !connections.is_empty() {
                // Kept open until the measurement is over.
                tasks.spawn(async move {
                    let _idle = connections;
                    std::future::pending().await
                });
            }
        }
        Load::Connect { at_once } => {
            for _ in 0..at_once {
                tasks.spawn(load::connect_and_call(target.clone(), talk.clone(), tally.clone()));
            }
        }
        Load::Paced { every, .. } => {
            let turns = pace::start(connections.len(), every, tally);
            for (at, connection) in connections.into_iter().enumerate() {
                tasks.spawn(pace::call(connection, at, turns.clone(), talk.clone(), tally.clone()));
            }
        }
        Load::Streams { .. } => unreachable!("its clients are no tasks"),
    }
    tasks
}

/// Runs `tasks` for this long. A task that ends has met an error.
async fn pass(time: Duration, tasks: &mut Tasks) -> anyhow::Result<()> {
    let ended: Result<io::Result<Infallible>, JoinError> = tokio::select! {
        () = sleep(time) => return Ok(()),
        Some(ended) = tasks.join_next() => ended,
    };
    match ended? {
        Err(error) => Err(error).context("a connection broke"),
    }
}

/// The counters at one moment.
struct Reading {
    at: Instant,
    calls: u64,
    bytes: u64,
    due: u64,
    processor: Option<Duration>,
}

impl Reading {
    fn take(proxy: &Running, tally: &Tally) -> io::Result<Self> {
        let processor = proxy.process().map(Process::processor_time).transpose()?;
        Ok(Self { at: Instant::now(), calls: tally.calls(), bytes: tally.bytes(), due: tally.due(), processor })
    }
}

fn memory(proxy: &Running) -> io::Result<Option<f64>> {
    let memory = proxy.process().map(Process::memory).transpose()?;
    Ok(memory.map(|bytes| bytes as f64))
}

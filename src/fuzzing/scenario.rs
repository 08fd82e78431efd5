//! What happens on one connection: its calls, what is done to them, how the bytes are cut, and how it ends.

use std::fmt;
use std::time::Duration;

use arbitrary::{Result, Unstructured};

use super::traffic::{Dialect, Exchange, pipeline};
use crate::call::{Answer, Call, Verdict};
use crate::duration::Seconds;
use crate::error;
use crate::handler::{Blackout, Delay, Error, Handler, Hang};
use crate::plan::mix::Mix;

/// Everything about one connection.
pub(crate) struct Scenario {
    pub(crate) dialect: Dialect,
    pub(crate) calls: Vec<(Exchange, Action)>,
    /// Percent of the calls that are drawn for the script; the others are `dummy`'s.
    percent: u8,
    pub(crate) seed: u64,
    /// How many bytes each pipe holds.
    pub(crate) capacities: [usize; 2],
    pub(crate) buffer: Option<usize>,
    /// How the client and the backend write, and how they read.
    pub(crate) writes: [Pace; 2],
    pub(crate) reads: [Pace; 2],
    pub(crate) ending: Ending,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dialect, percent, seed, capacities, buffer, writes, reads, ending, .. } = self;
        writeln!(f, "{dialect:?}, {percent} % of seed {seed}, {ending:?}")?;
        writeln!(f, "pipes of {capacities:?}, buffer {buffer:?}, writes {writes:?}, reads {reads:?}")?;
        self.calls.iter().try_for_each(|(exchange, action)| writeln!(f, "  {action:?}: {exchange:?}"))
    }
}

/// What a handler does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Pass,
    /// `delay`.
    Sleep {
        millis: u16,
        before: bool,
    },
    /// `error`.
    Error,
    /// `error` with `inject`.
    Inject,
    /// `blackout`.
    Blackout,
    /// `hang`.
    Hang,
    Reset,
    /// An answer when the reply is here.
    Replace,
    CloseReply,
    ResetReply,
}

/// The answer of [`Action::Replace`].
pub(crate) const REPLACED: &[u8] = b"replaced";

impl Action {
    /// Ends the connection in place of the call.
    pub(crate) fn ends(self) -> bool {
        matches!(self, Self::Blackout | Self::Hang | Self::Reset)
    }

    /// The request goes on to the backend.
    pub(crate) fn passes(self) -> bool {
        !self.ends() && self != Self::Error
    }
}

/// Writes or reads that follow each other: how many bytes at most, and the pause after them in milliseconds. They begin
/// again at their end.
#[derive(Clone)]
pub(crate) struct Pace(Vec<(u16, u16)>);

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Pace {
    const AT_ONCE: (u16, u16) = (u16::MAX, 0);

    pub(crate) fn read(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut steps = vec![];
        for _ in 0..u.int_in_range(0..=4)? {
            let len = if u.arbitrary()? { u.int_in_range(1..=8)? } else { u.int_in_range(1..=2000)? };
            steps.push((len, if u.arbitrary()? { 0 } else { u.int_in_range(0..=2000)? }));
        }
        if steps.is_empty() {
            steps.push(Self::AT_ONCE);
        }
        Ok(Self(steps))
    }

    /// The same with more bytes at once.
    fn coarse(self) -> Self {
        Self(self.0.into_iter().map(|(len, millis)| (len.saturating_mul(64), millis)).collect())
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = (usize, Duration)> {
        self.0.iter().cycle().map(|&(len, millis)| (usize::from(len), Duration::from_millis(millis.into())))
    }
}

/// Who ends the connection, if no handler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client half-closes when it has all replies.
    ClientIsDone,
    /// The client half-closes after so many bytes.
    ClientEnds(usize),
    /// The client leaves when it has got so many bytes.
    ClientLeaves(usize),
    /// The backend half-closes after so many bytes.
    BackendEnds(usize),
    /// The backend resets after so many bytes.
    BackendResets(usize),
}

/// The most commands, and the longest run of quiet ones: as calls of a handler, they fill the queue of open calls.
const MOST: u8 = 20;
const LONGEST_RUN: u16 = 2000;

impl Scenario {
    /// Reads it off any bytes; what is missing is as simple as can be.
    pub(crate) fn read(u: &mut Unstructured<'_>) -> Result<Self> {
        let dialect = *u.choose(&Dialect::ALL)?;
        let percent = *u.choose(&[0, 100, 50, 20])?;
        let seed = u.int_in_range(0..=255)?;
        let capacity = |u: &mut Unstructured<'_>| Ok(*u.choose(&[65536, 1, 2, 7, 64, 500])?);
        let mut capacities = [capacity(u)?, capacity(u)?];
        let mut buffer = *u.choose(&[None, None, Some(1), Some(7), Some(2048)])?;
        let mut writes = [Pace::read(u)?, Pace::read(u)?];
        let mut reads = [Pace::read(u)?, Pace::read(u)?];
        let kind_of_end = u.int_in_range(0..=9)?;
        let place_of_end = u.arbitrary::<u16>()?;

        let exchanges = pipeline(u, dialect, MOST, LONGEST_RUN)?;
        let mut calls = Vec::with_capacity(exchanges.len());
        let mix = mix(percent, vec![]);
        let mut names = mix.drawn(seed, PROXY, 1);
        for exchange in exchanges {
            let scripted = match action(u)? {
                // A broken HTTP response is not what it is for.
                Action::Inject if dialect == Dialect::Http => Action::Error,
                action => action,
            };
            calls.push((exchange, if names.next() == Some(SCRIPT) { scripted } else { Action::Pass }));
        }
        if dialect == Dialect::Tcp
            && calls.iter().any(|(_, action)| !matches!(action, Action::Pass | Action::Sleep { .. }))
        {
            // What is answered, dropped or altered is what has come by then.
            (capacities, buffer) = ([65536; 2], None);
            writes = [(); 2].map(|()| Pace(vec![Pace::AT_ONCE]));
        }
        if calls.len() > usize::from(MOST) {
            // Byte by byte, a long run of commands would take long.
            capacities = capacities.map(|capacity| capacity.max(500));
            buffer = buffer.filter(|buffer| *buffer > 7);
            writes = writes.map(Pace::coarse);
            reads = reads.map(Pace::coarse);
        }
        let asked: usize = calls.iter().map(|(exchange, _)| exchange.lead.len() + exchange.request.len()).sum();
        let given: usize = calls
            .iter()
            .filter(|(_, action)| action.passes())
            .map(|(exchange, _)| exchange.aside.len() + exchange.reply.as_ref().map_or(0, Vec::len))
            .sum();
        let place = |len: usize| usize::from(place_of_end) % (len + 1);
        let ending = match kind_of_end {
            // Half a turn is a turn.
            4..=5 if dialect != Dialect::Tcp => Ending::ClientEnds(place(asked)),
            6 => Ending::ClientEnds(asked),
            7 => Ending::ClientLeaves(place(given)),
            8 => Ending::BackendEnds(place(given)),
            9 => Ending::BackendResets(place(given)),
            _ => Ending::ClientIsDone,
        };
        Ok(Self { dialect, calls, percent, seed, capacities, buffer, writes, reads, ending })
    }

    pub(crate) fn mix(&self) -> Mix {
        mix(self.percent, self.calls.iter().map(|&(_, action)| action).collect())
    }
}

/// The name of the proxy, on which draws depend.
pub(crate) const PROXY: &str = "default";

/// The name of the handler that does what the scenario says.
pub(crate) const SCRIPT: &str = "script";

fn mix(percent: u8, actions: Vec<Action>) -> Mix {
    match percent {
        0 => Mix::default(),
        percent => Mix::default().with(percent.into(), SCRIPT, Script(actions)).unwrap(),
    }
}

fn action(u: &mut Unstructured<'_>) -> Result<Action> {
    Ok(match u.int_in_range(0..=30)? {
        1..=6 => Action::Sleep { millis: u.int_in_range(0..=3000)?, before: u.arbitrary()? },
        7..=12 => Action::Error,
        13..=15 => Action::Inject,
        16..=18 => Action::Replace,
        19 => Action::Blackout,
        20 => Action::Hang,
        21 => Action::Reset,
        22 => Action::CloseReply,
        23 => Action::ResetReply,
        _ => Action::Pass,
    })
}

/// Does to each call what the scenario says.
struct Script(Vec<Action>);

impl Script {
    fn action(&self, call: &Call<'_>) -> Action {
        // What was cut out of a pipeline is called differently; it passes.
        usize::try_from(call.number() - 1).ok().and_then(|at| self.0.get(at).copied()).unwrap_or(Action::Pass)
    }
}

fn delay(millis: u16, before: bool) -> Delay {
    Delay { sleep: Seconds::from_millis(millis.into()).into(), before }
}

impl Handler for Script {
    async fn before(&self, call: &mut Call<'_>) -> error::Result<Verdict> {
        match self.action(call) {
            Action::Sleep { millis, before } => delay(millis, before).before(call).await,
            Action::Error => Error::new(false, 0).before(call).await,
            Action::Inject => Error::new(true, 0).before(call).await,
            Action::Blackout => Blackout {}.before(call).await,
            Action::Hang => Hang::default().before(call).await,
            Action::Reset => Ok(Verdict::Reset),
            Action::Pass | Action::Replace | Action::CloseReply | Action::ResetReply => Ok(Verdict::Pass),
        }
    }

    async fn after(&self, call: &mut Call<'_>) -> error::Result<Verdict> {
        match self.action(call) {
            Action::Sleep { millis, before } => delay(millis, before).after(call).await,
            Action::Inject => Error::new(true, 0).after(call).await,
            Action::Replace => Ok(Verdict::Answer(Answer::new(REPLACED))),
            Action::CloseReply => Ok(Verdict::Close),
            Action::ResetReply => Ok(Verdict::Reset),
            _ => Ok(Verdict::Pass),
        }
    }
}

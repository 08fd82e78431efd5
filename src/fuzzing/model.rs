//! What both sides of a connection must see, said without a framer: a scenario knows its calls.

use std::fmt::Write;
use std::iter;
use std::time::Duration;

use super::connection::{End, NoOp, Options, SILENCE, Seen, Talk, talk};
use super::scenario::{Action, Ending, PROXY, REPLACED, SCRIPT, Scenario};
use super::traffic::{Answered, Dialect};

/// How many random bytes `error` answers with, and how many it inserts.
const JUNK: usize = 1000;
const INJECTED: usize = 100;

/// A piece of what the client gets.
#[derive(Debug)]
enum Segment {
    Exactly(Vec<u8>),
    /// So many bytes, whatever they are.
    Random(usize),
    /// A response that says it failed.
    HttpFailure {
        head_only: bool,
    },
}

impl Segment {
    /// How many of `bytes` it is: `None` if it is not what they begin with. Bytes that end too early are its beginning.
    fn len_in(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Exactly(exactly) => {
                let len = exactly.len().min(bytes.len());
                (exactly[..len] == bytes[..len]).then_some(exactly.len())
            }
            Self::Random(len) => Some(*len),
            Self::HttpFailure { head_only } => {
                let status = b"HTTP/1.1 50";
                let len = status.len().min(bytes.len());
                if status[..len] != bytes[..len] {
                    return None;
                }
                let text = String::from_utf8_lossy(bytes);
                let Some((head, _)) = text.split_once("\r\n\r\n") else { return Some(bytes.len() + 1) };
                let length: usize = head.split_once("Content-Length: ")?.1.lines().next()?.parse().ok()?;
                Some(head.len() + 4 + if *head_only { 0 } else { length })
            }
        }
    }
}

/// What must be seen.
#[derive(Debug, Default)]
struct Expected {
    to_backend: Vec<u8>,
    /// A part of a request that may follow.
    part_to_backend: Vec<u8>,
    /// Then more of what the client sends: where the backend ends first, and where a reply ends the connection, which the
    /// calls behind it may have overtaken.
    perhaps_more_to_backend: bool,
    to_client: Vec<Segment>,
    /// How many segments the client gets for certain.
    certain: usize,
    /// The segment from which on anything may come: the backend breaks off within a reply that a handler alters.
    broken_at: Option<usize>,
    /// The ways in which it may end.
    ends: Vec<End>,
    /// Whether all of the calls were made, and the connection ended as planned: then they can be counted.
    is_whole: bool,
    calls: usize,
    faults: u64,
    /// How long it takes at least.
    time: Duration,
}

/// What the two sides do, and what they must see.
struct Plot {
    talk: Talk,
    expected: Expected,
}

impl Scenario {
    fn plot(&self) -> Plot {
        let mut expected = Expected { is_whole: true, ..Expected::default() };
        let (requests, replies) = (Vec::new(), Vec::new());
        let mut talk = Talk { requests, replies, expected: 0, ending: self.ending, no_op: None };
        let mut ended = None;
        // Bytes so far: from the client, and from the backend.
        let (mut asked, mut given) = (0, 0);
        let (mut slept_before, mut slept_after) = (0, 0);
        for &(ref exchange, action) in &self.calls {
            let turn = if self.dialect == Dialect::Tcp { talk.expected } else { 0 };
            talk.requests.push((turn, [&exchange.lead[..], &exchange.request].concat()));
            if ended.is_some() {
                continue;
            }
            let (begun, given_before) = (asked, given);
            asked += exchange.lead.len() + exchange.request.len();
            if let Ending::ClientEnds(limit) = self.ending
                && limit < asked
            {
                let part = &talk.requests.last().unwrap().1[..limit - begun];
                expected.part_to_backend.extend_from_slice(part);
                expected.is_whole = false;
                ended = Some(if action.ends() || action == Action::Error { Cut::Anyhow } else { Cut::Closed });
                continue;
            }
            expected.to_backend.extend_from_slice(&exchange.lead);
            expected.calls += 1;
            if action.passes() {
                expected.to_backend.extend_from_slice(&exchange.request);
                let mut said = exchange.aside.clone();
                said.extend_from_slice(exchange.reply.as_deref().unwrap_or_default());
                given += said.len();
                talk.replies.push((expected.to_backend.len(), said));
                let is_altered = !matches!(action, Action::Pass | Action::Sleep { .. });
                if matches!(self.ending, Ending::BackendEnds(limit) | Ending::BackendResets(limit) if is_altered && limit < given)
                {
                    expected.broken_at.get_or_insert(expected.to_client.len());
                }
                // The backend leaves before a reply that need not come: nobody knows that it would have come.
                let may_be_silent = exchange.answered == Answered::Sometimes;
                if matches!(self.ending, Ending::BackendEnds(limit) if may_be_silent && limit <= given_before) {
                    expected.broken_at.get_or_insert(expected.to_client.len());
                }
                expected.say(Segment::Exactly(exchange.aside.clone()));
            }
            let reply = exchange.reply.as_ref();
            let mut is_fault = true;
            match (action, reply) {
                (Action::Sleep { millis, before: true }, reply) => {
                    slept_before += u64::from(millis);
                    expected.say_if(reply);
                }
                (Action::Sleep { millis, before: false }, Some(reply)) => {
                    slept_after += u64::from(millis);
                    expected.say(Segment::Exactly(reply.clone()));
                }
                (Action::Error, _) if exchange.answered == Answered::Never => {}
                (Action::Error, _) if self.dialect == Dialect::Http => {
                    expected.say(Segment::HttpFailure { head_only: exchange.request.starts_with(b"HEAD") });
                }
                (Action::Error, _) => expected.say(Segment::Random(JUNK)),
                (Action::Inject, Some(reply)) => {
                    let (first, second) = reply.split_at(reply.len() / 2);
                    expected.say(Segment::Exactly(first.to_vec()));
                    expected.say(Segment::Random(INJECTED));
                    expected.say(Segment::Exactly(second.to_vec()));
                }
                (Action::Replace, Some(_)) => expected.say(Segment::Exactly(REPLACED.to_vec())),
                (Action::Blackout, _) => ended = Some(Cut::Closed),
                (Action::Hang, _) => ended = Some(Cut::Hung),
                (Action::Reset, _) => ended = Some(Cut::Reset),
                (Action::CloseReply, Some(_)) => ended = Some(Cut::ReplyClosed),
                (Action::ResetReply, Some(_)) => ended = Some(Cut::ReplyReset),
                (_, reply) => {
                    is_fault = false;
                    expected.say_if(reply);
                }
            }
            expected.faults += u64::from(is_fault);
            talk.expected = expected.to_client.iter().map(Segment::most).sum();
            let is_given = match self.ending {
                // What it said, it said when it had got the request.
                Ending::BackendEnds(limit) => given <= limit && given > given_before,
                Ending::ClientLeaves(_) | Ending::BackendResets(_) => false,
                Ending::ClientIsDone | Ending::ClientEnds(_) => true,
            };
            if is_given {
                expected.certain = expected.to_client.len();
            }
        }
        talk.no_op = self.dialect.own_no_op().map(|(request, reply)| {
            let places = iter::once(0).chain(talk.replies.iter().map(|(after, _)| *after)).collect();
            NoOp { request, reply, others: expected.to_backend.clone(), places }
        });
        expected.time = Duration::from_millis(slept_before.max(slept_after));
        expected.end(ended, self.ending);
        if matches!(self.ending, Ending::BackendEnds(_)) && self.calls.iter().any(|(_, action)| *action == Action::Hang)
        {
            // A call may hang that would not have been reached.
            expected.ends.push(End::Silence);
        }
        Plot { talk, expected }
    }

    /// Runs it, and compares what was seen with what must be.
    ///
    /// # Panics
    ///
    /// They differ, or something is stuck.
    pub(crate) fn check(&self) {
        let Plot { talk: words, expected } = self.plot();
        let Self { dialect, buffer, capacities, writes, reads, seed, .. } = self;
        let protocol = dialect.protocol();
        // However slowly a head comes, its handler sees it.
        let head_timeout = SILENCE;
        let options = Options { protocol, buffer: *buffer, head_timeout };
        let seen = talk(&words, options, *capacities, writes, reads, (*seed, &self.mix()));
        if let Err(why) = expected.compare(&seen) {
            let mut told = format!("{why}\n{self:?}\n");
            let Seen { by_client, by_backend, end, outcome, .. } = &seen;
            let _ = writeln!(told, "the client saw {} and then {end:?}", by_client.escape_ascii());
            let _ = writeln!(told, "the backend saw {}; {outcome:?}", by_backend.escape_ascii());
            panic!("{told}");
        }
        if expected.is_whole {
            self.count(&expected, &seen);
        }
    }

    fn count(&self, expected: &Expected, seen: &Seen) {
        let counters = &seen.proxy.counters;
        assert_eq!(counters.opaque.get(), 0, "a valid pipeline turned opaque: {self:?}");
        let mix = self.mix();
        let drawn: Vec<&str> = mix.drawn(self.seed, PROXY, 1).take(expected.calls).collect();
        for ((_, name), of_handler) in counters.by_handler() {
            let calls = drawn.iter().filter(|drawn| **drawn == name).count();
            assert_eq!(of_handler.calls.get(), calls as u64, "calls of {name}: {self:?}");
            let faults = if name == SCRIPT { expected.faults } else { 0 };
            assert_eq!(of_handler.faults.get(), faults, "faults of {name}: {self:?}");
        }
    }
}

/// How a call, or the middle of a request, ends the connection.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Closed,
    Reset,
    Hung,
    ReplyClosed,
    ReplyReset,
    Anyhow,
}

impl Segment {
    /// How many bytes it has at most.
    fn most(&self) -> usize {
        match self {
            Self::Exactly(bytes) => bytes.len(),
            Self::Random(len) => *len,
            // Longer than any that vaurien writes would never come.
            Self::HttpFailure { .. } => 0,
        }
    }
}

impl Expected {
    fn say(&mut self, segment: Segment) {
        self.to_client.push(segment);
    }

    fn say_if(&mut self, reply: Option<&Vec<u8>>) {
        if let Some(reply) = reply {
            self.say(Segment::Exactly(reply.clone()));
        }
    }

    fn end(&mut self, ended: Option<Cut>, ending: Ending) {
        self.ends = match (ended, ending) {
            (_, Ending::ClientLeaves(_)) => vec![End::Left, End::Closed, End::Reset, End::Silence],
            (_, Ending::BackendResets(_)) => vec![End::Reset, End::Closed, End::Silence],
            (_, Ending::BackendEnds(_)) => vec![End::Closed, End::Reset],
            (Some(Cut::Hung), _) => vec![End::Silence],
            (Some(Cut::Reset | Cut::ReplyReset), _) => vec![End::Reset],
            (Some(Cut::Anyhow), _) => vec![End::Closed, End::Reset, End::Silence],
            _ => vec![End::Closed],
        };
        self.perhaps_more_to_backend = matches!(ended, Some(Cut::ReplyClosed | Cut::ReplyReset))
            || matches!(ending, Ending::BackendEnds(_) | Ending::ClientLeaves(_));
        let is_cut = matches!(ended, Some(Cut::ReplyClosed | Cut::ReplyReset | Cut::Anyhow));
        let has_left = matches!(ending, Ending::ClientLeaves(_) | Ending::BackendEnds(_) | Ending::BackendResets(_));
        self.is_whole &= !is_cut && !has_left;
    }

    fn compare(&self, seen: &Seen) -> Result<(), String> {
        let mut rest = &seen.by_client[..];
        for (at, segment) in self.to_client.iter().enumerate() {
            if self.broken_at == Some(at) {
                rest = &[];
                break;
            }
            let Some(len) = segment.len_in(rest) else {
                return Err(format!("instead of segment {at} the client saw {}", rest.escape_ascii()));
            };
            if len > rest.len() {
                if at < self.certain {
                    return Err(format!("segment {at} of {} did not come", self.certain));
                }
                rest = &[];
                break;
            }
            rest = &rest[len..];
        }
        if !rest.is_empty() {
            return Err(format!("the client saw more: {}", rest.escape_ascii()));
        }
        if !self.ends.contains(&seen.end) {
            return Err(format!("it ends with {:?} instead of {:?}", seen.end, self.ends));
        }
        let all = [&self.to_backend[..], &self.part_to_backend].concat();
        let same = all.iter().zip(&seen.by_backend).take_while(|(expected, seen)| expected == seen).count();
        if same < seen.by_backend.len() && !self.perhaps_more_to_backend {
            return Err("the backend saw something else".into());
        }
        if self.is_whole && seen.by_backend.len() < self.to_backend.len() {
            return Err("the backend did not see everything".into());
        }
        if self.is_whole && seen.took < self.time {
            return Err(format!("{:?} instead of {:?}", seen.took, self.time));
        }
        Ok(())
    }
}

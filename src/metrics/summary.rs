//! The public summary of a proxy's counts: calls and faults by handler, connections, bytes.

/// What is counted beside handlers, as expectations call it.
pub(crate) const COUNTED: [&str; 6] =
    ["calls", "faults", "connections", "opaque", "dial_failures", "handshake_failures"];

/// What a proxy has done since it was created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Calls by handler: those of rules, such as `pay.error`, and of the mix in their order, then those of earlier plans by name.
    pub calls: Vec<(String, u64)>,
    /// Calls to which the handler did something, in the same order.
    pub faults: Vec<(String, u64)>,
    /// Toxics: the name of each, and to how many connections it did something.
    pub toxics: Vec<(String, u64)>,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// Bytes that clients sent.
    pub to_backend: u64,
    /// Bytes that the backend sent, without the proxy's own answers.
    pub to_client: u64,
    /// Connections that turned opaque.
    pub opaque: u64,
    /// Why they did, with the number of connections for each reason; the most frequent one first.
    pub opaque_reasons: Vec<(String, u64)>,
    /// Connections for which the backend could not be reached.
    pub backend_failures: u64,
    /// Why it could not, with the number of connections for each reason; the most frequent one first.
    pub backend_reasons: Vec<(String, u64)>,
    /// Connections of clients with which there is no TLS, which was not intended: they do not trust the certificate, or send
    /// something else.
    pub handshake_failures: u64,
    /// Why there is none, with the number of connections for each reason; the most frequent one first.
    pub handshake_reasons: Vec<(String, u64)>,
}

impl Summary {
    /// How many calls were drawn for the handler of this name; 0 if there is none. `error` is the sum over the mix and all
    /// rules, `pay.error` one rule's.
    #[must_use]
    pub fn calls_of(&self, handler: &str) -> u64 {
        of(&self.calls, handler)
    }

    /// To how many calls the handler of this name did something: delayed, held, answered, altered or ended them.
    /// Names are as in [`Self::calls_of`]. For a toxic, to how many connections.
    #[must_use]
    pub fn faults_of(&self, handler: &str) -> u64 {
        let toxic = self.toxics.iter().find(|(name, _)| name == handler);
        of(&self.faults, handler) + toxic.map_or(0, |(_, faults)| *faults)
    }

    /// The faults of all handlers and toxics.
    pub(crate) fn all_faults(&self) -> u64 {
        self.faults.iter().chain(&self.toxics).map(|(_, faults)| faults).sum()
    }

    /// The sum of both.
    pub(crate) fn with(mut self, other: Self) -> Self {
        let add = |counts: &mut Vec<(String, u64)>, more: Vec<(String, u64)>| {
            for (name, count) in more {
                match counts.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known += count,
                    None => counts.push((name, count)),
                }
            }
        };
        add(&mut self.calls, other.calls);
        add(&mut self.faults, other.faults);
        add(&mut self.toxics, other.toxics);
        add(&mut self.opaque_reasons, other.opaque_reasons);
        add(&mut self.backend_reasons, other.backend_reasons);
        add(&mut self.handshake_reasons, other.handshake_reasons);
        self.connections += other.connections;
        self.open += other.open;
        self.to_backend += other.to_backend;
        self.to_client += other.to_client;
        self.opaque += other.opaque;
        self.backend_failures += other.backend_failures;
        self.handshake_failures += other.handshake_failures;
        self
    }

    /// One line for each handler, one for the connections, and, if there are any, one each for the reasons of opaque ones and of
    /// those without TLS.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let calls = self.calls.iter().map(|(name, calls)| {
            let faults = self.faults.iter().find(|(known, _)| known == name).map_or(0, |(_, faults)| *faults);
            format!("{name}: {calls} calls, {faults} faults")
        });
        let bytes = (self.to_backend, self.to_client);
        let connections = figures(self.connections, bytes, self.opaque, self.backend_failures, self.handshake_failures);
        let opaque = opaque_line(self.opaque, each(&self.opaque_reasons));
        let handshakes = handshake_line(self.handshake_failures, each(&self.handshake_reasons));
        let toxics = self.toxics.iter().map(|(name, faults)| format!("toxic {name}: {faults} faults"));
        calls.chain(toxics).chain([connections]).chain(opaque).chain(handshakes).collect()
    }
}

fn each(reasons: &[(String, u64)]) -> impl Iterator<Item = (&str, u64)> {
    reasons.iter().map(|(why, count)| (why.as_str(), *count))
}

/// The line about connections, with the bytes to the backend and to clients. TLS handshakes that failed are part of it if there are
/// any.
pub(crate) fn figures(connections: u64, bytes: (u64, u64), opaque: u64, dials: u64, handshakes: u64) -> String {
    let (from_clients, from_backends) = bytes;
    let handshakes = if handshakes > 0 { format!(", {handshakes} handshake failures") } else { String::new() };
    format!(
        "{connections} connections, {from_clients} bytes from clients, {from_backends} bytes from backends, {opaque} opaque, \
         {dials} dial failures{handshakes}"
    )
}

/// Why this many connections turned opaque; `None` if none did.
pub(crate) fn opaque_line<'r>(opaque: u64, reasons: impl IntoIterator<Item = (&'r str, u64)>) -> Option<String> {
    let reasons = told(reasons, |why, count| format!("{count} because of {why}"))?;
    Some(format!("{opaque} opaque: {reasons}"))
}

/// Why this many TLS handshakes failed; `None` if none did.
pub(crate) fn handshake_line<'r>(failures: u64, reasons: impl IntoIterator<Item = (&'r str, u64)>) -> Option<String> {
    let times = |count| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let reasons = told(reasons, |why, count| format!("{} {why}", times(count)))?;
    Some(format!("{failures} handshake failures: {reasons}"))
}

/// The only reason as it is, several as `each` has them.
fn told<'r>(reasons: impl IntoIterator<Item = (&'r str, u64)>, each: impl Fn(&str, u64) -> String) -> Option<String> {
    let reasons: Vec<_> = reasons.into_iter().collect();
    match reasons.as_slice() {
        [] => None,
        [(only, _)] => Some((*only).to_owned()),
        several => Some(several.iter().map(|(why, count)| each(why, *count)).collect::<Vec<_>>().join("; ")),
    }
}

fn of(counts: &[(String, u64)], handler: &str) -> u64 {
    let is_its = |name: &str| name == handler || name.rsplit_once('.').is_some_and(|(_, name)| name == handler);
    counts.iter().filter(|(name, _)| is_its(name)).map(|(_, count)| count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(reasons: &[(&str, u64)]) -> Summary {
        Summary {
            connections: 5,
            handshake_failures: reasons.iter().map(|(_, count)| count).sum(),
            handshake_reasons: reasons.iter().map(|(why, count)| ((*why).to_owned(), *count)).collect(),
            ..Summary::default()
        }
    }

    #[test]
    fn handshakes_are_told_where_some_failed() {
        let figures = "5 connections, 0 bytes from clients, 0 bytes from backends, 0 opaque, 0 dial failures";
        assert_eq!(summary(&[]).lines(), [figures]);
        let failed = |count: u64| format!("{figures}, {count} handshake failures");
        assert_eq!(summary(&[("it left", 1)]).lines(), [failed(1), "1 handshake failures: it left".to_owned()]);
        let (one, two) = (summary(&[("it left", 1)]), summary(&[("it left", 1), ("it sent HTTP", 1)]));
        let told = "3 handshake failures: 2 times it left; once it sent HTTP".to_owned();
        assert_eq!(one.with(two).lines()[1..], [told]);
    }
}

//! Handlers one after the other: `delay(sleep=1s)+error(status=503)`.

use std::sync::Arc;

use super::{DynHandler, Scope};
use crate::call::{Accept, Call, CallState, Verdict};
use crate::error::Result;
use crate::net::tls::ClientTls;
use crate::protocol::Protocol;
use crate::protocol::http2::ErrorCode;

/// What a handler does in a sequence, and so what may stand before and behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Anything, or nothing: it may stand anywhere.
    Any,
    /// It answers, closes or resets in [`before`](super::Handler::before), whatever the call: nothing may stand behind it.
    Answers,
    /// It acts on the reply, or by [`Verdict::GoAway`] beside it, and lets it pass: nothing that answers may stand behind it.
    SeesReply,
    /// It shapes the reply by [`Verdict::Cut`], [`Verdict::Slow`] or [`Verdict::Corrupt`]: others of its kind may stand beside it.
    ShapesReply,
    /// It takes the place of the reply, or changes it by [`Verdict::Inject`]: nothing that shapes the reply may stand beside it.
    ReplacesReply,
}

/// One handler or several, which a call is handed to in order.
#[derive(Clone)]
pub(crate) struct Sequence {
    steps: Arc<[Step]>,
    /// The names of the steps, if there are several.
    names: Arc<[Arc<str>]>,
}

/// One handler of a sequence.
pub(crate) struct Step {
    /// The name that it is registered under.
    pub(crate) name: Arc<str>,
    pub(crate) handler: Arc<dyn DynHandler>,
}

impl Sequence {
    pub(crate) fn one(name: &str, handler: Arc<dyn DynHandler>) -> Self {
        Self::from(vec![Step { name: name.into(), handler }])
    }

    /// # Errors
    ///
    /// One of the steps would never be reached, or there are too many.
    pub(crate) fn new(steps: Vec<Step>) -> std::result::Result<Self, String> {
        if steps.len() > CallState::MAX_STEPS {
            return Err(format!("a sequence has at most {} handlers", CallState::MAX_STEPS));
        }
        if steps.len() > 1
            && let Some(alone) = steps.iter().find(|step| step.handler.scope() == Scope::Handshake)
        {
            return Err(format!("`{}` acts before there is a call, and stands alone", alone.name));
        }
        for (place, Step { name, handler }) in steps.iter().enumerate() {
            let before = |roles: &[Role]| steps[..place].iter().find(|step| roles.contains(&step.handler.role()));
            let unreached =
                |by: &Step| Err(format!("`{name}` would never act: `{}` before it ends every call", by.name));
            if let Some(answers) = before(&[Role::Answers]) {
                return unreached(answers);
            }
            let (clashing, why): (&[Role], _) = match handler.role() {
                Role::Answers => {
                    (&[Role::SeesReply, Role::ShapesReply, Role::ReplacesReply], "the backend is not called")
                }
                Role::ShapesReply | Role::SeesReply => (&[Role::ReplacesReply], "the reply does not pass"),
                Role::ReplacesReply => (&[Role::ShapesReply, Role::ReplacesReply], "the reply does not pass"),
                Role::Any => (&[], ""),
            };
            if let Some(other) = before(clashing) {
                return Err(format!("`{}` and `{name}` exclude each other: {why}", other.name));
            }
        }
        Ok(steps.into())
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The names of the steps; none if there is only one.
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    pub(crate) fn scope(&self) -> Scope {
        self.steps.iter().map(|step| step.handler.scope()).max().unwrap_or(Scope::Nothing)
    }

    /// What is wrong with a handler under this protocol.
    pub(crate) fn check(&self, protocol: Protocol) -> impl Iterator<Item = (&str, String)> {
        self.steps.iter().filter_map(move |step| Some((&*step.name, step.handler.check(protocol).err()?)))
    }

    /// What is wrong with a handler where clients speak TLS like this, or do not.
    pub(crate) fn check_tls(&self, tls: Option<&ClientTls>) -> impl Iterator<Item = (&str, String)> {
        self.steps.iter().filter_map(move |step| Some((&*step.name, step.handler.check_tls(tls).err()?)))
    }

    /// Asks the first step.
    pub(crate) async fn accept(&self, client: &mut Accept<'_>) -> Result<Verdict> {
        match self.steps.first() {
            Some(step) => step.handler.accept(client).await,
            None => Ok(Verdict::Pass),
        }
    }

    /// Asks the steps in order until one does not pass the call on.
    pub(crate) async fn before(&self, call: &mut Call<'_>) -> Result<Verdict> {
        let mut goes_away = None;
        for (place, step) in self.steps.iter().enumerate() {
            call.enter(place);
            match step.handler.before(call).await? {
                Verdict::Pass => {}
                // The call passes, to the next steps first.
                Verdict::GoAway(ErrorCode::NoError) => goes_away = Some(place),
                verdict => return Ok(verdict),
            }
        }
        let Some(place) = goes_away else { return Ok(Verdict::Pass) };
        call.enter(place);
        Ok(Verdict::GoAway(ErrorCode::NoError))
    }

    /// What the steps do to the reply, in order: several verdicts that shape it, or one that does anything else.
    pub(crate) async fn after(&self, call: &mut Call<'_>) -> Result<Vec<(usize, Verdict)>> {
        let mut verdicts = Vec::new();
        for (place, step) in self.steps.iter().enumerate() {
            call.enter(place);
            match step.handler.after(call).await? {
                Verdict::Pass => {}
                verdict if verdict.shapes() => verdicts.push((place, verdict)),
                // It ends the call, whatever would shape the reply.
                verdict => return Ok(vec![(place, verdict)]),
            }
        }
        Ok(verdicts)
    }

    /// Each step as `other` has it.
    pub(crate) fn map(&self, other: impl Fn(&Step) -> Arc<dyn DynHandler>) -> Self {
        let step = |step: &Step| Step { name: step.name.clone(), handler: other(step) };
        self.steps.iter().map(step).collect::<Vec<_>>().into()
    }
}

impl From<Vec<Step>> for Sequence {
    fn from(steps: Vec<Step>) -> Self {
        let names = if steps.len() > 1 { steps.iter().map(|step| step.name.clone()).collect() } else { Arc::default() };
        Self { steps: steps.into(), names }
    }
}

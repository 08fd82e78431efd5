//! Closing: what the outcome of a connection means for its client and its backend.

use std::fmt;
use std::time::Duration;

use tracing::{debug, warn};

use super::first_turn::read_to_end;
use crate::net::stream::Stream;
use crate::net::tls::of_backend_session;
use crate::pump::{ConnectionContext, ConnectionSettings, Outcome, State};

/// How long a client whose connection was closed in order may take to notice. A socket that is dropped with unread bytes
/// resets, so what still comes is read meanwhile.
const LINGER: Duration = Duration::from_secs(5);

/// Ends the client's connection in the way that the traffic ended.
pub(super) async fn finish(outcome: Outcome, client: &mut Stream, context: &ConnectionContext<'_>) {
    context.replies_end(false);
    context.activity.set_state(State::Closing);
    log(&outcome, context);
    match outcome {
        Outcome::Done
        | Outcome::Http2
        | Outcome::Spare
        | Outcome::BackendLeft
        | Outcome::Stopped
        | Outcome::ClientLeft
        | Outcome::ClientReset(_) => {}
        Outcome::Close => Box::pin(close_in_order(client, context)).await,
        Outcome::Unreachable(_) if context.settings.closes_if_unreachable => {
            Box::pin(close_in_order(client, context)).await;
        }
        Outcome::Reset
        | Outcome::BackendReset(_)
        | Outcome::Unreachable(_)
        | Outcome::Released
        | Outcome::CutOff
        | Outcome::Failed(_) => client.reset_on_drop(),
    }
}

/// Ends the backend's connection in the way that the traffic ended, or keeps it for the next client.
pub(super) fn leave(backend: Stream, outcome: &Outcome, settings: &ConnectionSettings) {
    match outcome {
        Outcome::Spare => settings.backend.keep(backend),
        Outcome::ClientReset(_) | Outcome::Reset | Outcome::CutOff => backend.reset_on_drop(),
        _ => {}
    }
}

fn log(outcome: &Outcome, context: &ConnectionContext<'_>) {
    let connection = context.activity.number;
    match outcome {
        Outcome::Unreachable(error) => log_failure(context, "cannot reach the backend", error),
        Outcome::Failed(error) => warn!(connection, "{error}"),
        Outcome::ClientReset(error) => debug!(connection, "the client reset: {error}"),
        Outcome::BackendReset(error) => {
            if let Some(why) = of_backend_session(error) {
                log_failure(context, "no more TLS with the backend", &why);
            } else {
                debug!(connection, "the backend reset: {error}");
            }
        }
        outcome => debug!(connection, ?outcome, "the connection ended"),
    }
}

/// Failures of a backend are logged as such once in a while.
fn log_failure(context: &ConnectionContext<'_>, what: &str, why: &impl fmt::Display) {
    let (connection, backend) = (context.activity.number, &context.settings.backend);
    let address = backend.address();
    match backend.failed() {
        Some(0) => warn!(connection, "{what} {address}: {why}"),
        Some(more) => {
            warn!(connection, "{what} {address}: {why} ({more} more failures since this was last logged)");
        }
        None => debug!(connection, "{what} {address}: {why}"),
    }
}

/// Closes so that the client reads an end of file.
async fn close_in_order(client: &mut Stream, context: &ConnectionContext<'_>) {
    let ended = async {
        if client.end().await.is_ok() {
            read_to_end(client).await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = tokio::time::sleep(LINGER) => {}
        () = context.proxy.shutdown.begun() => {}
    }
}

//! Busy tasks yield, so that the runtime polls timers and sockets after a few of their turns.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::task::yield_now;

/// How many bytes a task moves in one turn.
pub(crate) const TURN: usize = 256 * 1024;

/// How many bytes busy tasks move together between two times that the runtime polls timers and sockets. With less, bulk traffic
/// takes more processor time; with more, other calls are later.
const TOGETHER: usize = 4 * TURN;

thread_local! {
    /// The busy tasks of the worker whose thread this is.
    static BUSY: RefCell<Option<Busy>> = const { RefCell::new(None) };
}

#[derive(Debug, Default)]
struct Busy {
    /// Those that wait for their turn, each once.
    tasks: VecDeque<Waker>,
    /// How many bytes all of them have moved since the runtime polled timers and sockets.
    moved: usize,
    /// Wakes [`take_turns`] while there is nothing to do for it.
    waker: Option<Waker>,
}

impl Busy {
    fn is_over(&self) -> bool {
        self.moved >= TOGETHER
    }

    fn has_work(&self) -> bool {
        self.is_over() || !self.tasks.is_empty()
    }
}

/// Wakes the busy tasks of this thread, one each time that the runtime has polled timers and sockets.
pub(super) async fn take_turns() {
    loop {
        poll_fn(|cx| {
            BUSY.with_borrow_mut(|busy| {
                let busy = busy.get_or_insert_default();
                if busy.has_work() {
                    return Poll::Ready(());
                }
                busy.waker = Some(cx.waker().clone());
                Poll::Pending
            })
        })
        .await;
        yield_now().await;
        let next = BUSY.with_borrow_mut(|busy| {
            let busy = busy.as_mut()?;
            busy.moved = 0;
            busy.tasks.pop_front()
        });
        if let Some(task) = next {
            task.wake();
        }
    }
}

/// Does `change`, which may be something for [`take_turns`] to act on; `None` without a worker.
fn with_busy<T>(change: impl FnOnce(&mut Busy) -> T) -> Option<T> {
    let (changed, waker) = BUSY.with_borrow_mut(|busy| {
        let busy = busy.as_mut()?;
        let changed = change(busy);
        let waker = if busy.has_work() { busy.waker.take() } else { None };
        Some((changed, waker))
    })?;
    if let Some(waker) = waker {
        waker.wake();
    }
    Some(changed)
}

/// A busy task has moved so many bytes.
pub(crate) fn moved(bytes: usize) {
    with_busy(|busy| busy.moved += bytes);
}

/// Whether a busy task has to wait for its turn.
pub(crate) fn is_over() -> bool {
    BUSY.with_borrow(|busy| busy.as_ref().is_some_and(Busy::is_over))
}

/// Pending; the task is woken after the busy ones before it, one each time that the runtime has polled timers and sockets.
/// Something else may wake it earlier. Without a worker, all of them are woken the next time.
pub(crate) fn poll_yield(cx: &mut Context<'_>) -> Poll<()> {
    let waits = with_busy(|busy| {
        if !busy.tasks.iter().any(|task| task.will_wake(cx.waker())) {
            busy.tasks.push_back(cx.waker().clone());
        }
    });
    match waits {
        Some(()) => Poll::Pending,
        None => pin!(yield_now()).poll(cx),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;
    use std::sync::{Arc, Mutex};

    use tokio::runtime::{Builder, Runtime};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::workers::Workers;

    const TASKS: usize = 8;
    const TURNS: usize = 5;

    fn runtime() -> Runtime {
        Builder::new_current_thread().event_interval(u32::MAX).build().unwrap()
    }

    /// What the tasks of this thread do, in order: the numbers of busy ones, and 0 where another was ready that waits for the
    /// runtime to poll timers and sockets.
    async fn turns() -> Vec<usize> {
        let done: Arc<Mutex<Vec<usize>>> = Arc::default();
        let busy: Vec<_> = (1..=TASKS)
            .map(|number| {
                let done = done.clone();
                tokio::spawn(async move {
                    for _ in 0..TURNS {
                        done.lock().unwrap().push(number);
                        let mut has_yielded = false;
                        poll_fn(|cx| {
                            if std::mem::replace(&mut has_yielded, true) { Poll::Ready(()) } else { poll_yield(cx) }
                        })
                        .await;
                    }
                })
            })
            .collect();
        while !busy.iter().all(JoinHandle::is_finished) {
            done.lock().unwrap().push(0);
            yield_now().await;
        }
        let turns = done.lock().unwrap().clone();
        assert_eq!(turns.iter().filter(|task| **task > 0).count(), TASKS * TURNS);
        turns
    }

    #[test]
    fn others_have_their_turn_between_two_busy_tasks() {
        let workers = Workers::start(NonZero::new(1)).unwrap();
        let turns = runtime().block_on(workers.all()[0].runtime.spawn(turns())).unwrap();
        // All of them begin at once.
        let later = &turns[1 + TASKS..];
        assert!(later.windows(2).all(|pair| pair.contains(&0)), "{turns:?}");
    }

    #[test]
    fn without_a_worker_all_go_on_after_others() {
        let turns = runtime().block_on(turns());
        let mut alike = turns.chunk_by(|one, other| (*one > 0) == (*other > 0));
        assert!(alike.all(|turns| turns.len() <= TASKS), "{turns:?}");
    }

    #[test]
    fn the_turn_is_over_once_all_have_moved_enough() {
        let runtime = runtime();
        runtime.block_on(async {
            moved(TOGETHER);
            assert!(!is_over(), "there is no worker");
            tokio::spawn(take_turns());
            yield_now().await;
            moved(TOGETHER - 1);
            assert!(!is_over());
            moved(1);
            assert!(is_over());
            // The runtime polls timers and sockets before it goes on.
            yield_now().await;
            yield_now().await;
            assert!(!is_over());
        });
        BUSY.take();
    }

    #[test]
    fn a_task_that_something_else_wakes_waits_once() {
        struct Task;
        impl std::task::Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let tasks: [Waker; 2] = [(); 2].map(|()| Arc::new(Task).into());
        BUSY.set(Some(Busy::default()));
        for task in tasks.iter().cycle().take(10) {
            assert!(poll_yield(&mut Context::from_waker(task)).is_pending());
        }
        assert_eq!(BUSY.take().unwrap().tasks.len(), 2);
    }
}

//! Tasks that have done much give way: one of them goes on each time that the runtime has looked for timers and ready sockets.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::task::yield_now;

thread_local! {
    /// The tasks of the worker whose thread this is.
    static WAITING: RefCell<Option<Waiting>> = const { RefCell::new(None) };
}

#[derive(Debug, Default)]
struct Waiting {
    tasks: VecDeque<Waker>,
    /// Wakes [`resume`] while no task waits.
    resume: Option<Waker>,
}

/// Lets the tasks of this thread go on, one after the other.
pub(super) async fn resume() {
    loop {
        poll_fn(|cx| {
            WAITING.with_borrow_mut(|waiting| {
                let Waiting { tasks, resume } = waiting.get_or_insert_default();
                if tasks.is_empty() {
                    *resume = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
        })
        .await;
        yield_now().await;
        let task = WAITING.with_borrow_mut(|waiting| waiting.as_mut()?.tasks.pop_front());
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Pending once. The task goes on after others that are ready, and after one look at timers and sockets for each task that
/// gave way before. Where no worker runs, all of them go on after the next look.
pub(crate) fn poll_give_way(cx: &mut Context<'_>) -> Poll<()> {
    let resume = WAITING.with_borrow_mut(|waiting| {
        let Waiting { tasks, resume } = waiting.as_mut()?;
        if !tasks.back().is_some_and(|last| last.will_wake(cx.waker())) {
            tasks.push_back(cx.waker().clone());
        }
        Some(resume.take())
    });
    match resume {
        None => pin!(yield_now()).poll(cx),
        Some(resume) => {
            resume.into_iter().for_each(Waker::wake);
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::task::JoinHandle;

    use super::*;

    const TASKS: usize = 8;
    const TURNS: usize = 5;

    /// What the tasks of one thread did, in order: the numbers of busy ones, and 0 where another was ready that waits for the
    /// runtime to look.
    fn turns(is_worker: bool) -> Vec<usize> {
        let done: Arc<Mutex<Vec<usize>>> = Arc::default();
        let runtime = tokio::runtime::Builder::new_current_thread().event_interval(u32::MAX).build().unwrap();
        runtime.block_on(async {
            if is_worker {
                tokio::spawn(resume());
                yield_now().await;
            }
            let busy: Vec<_> = (1..=TASKS)
                .map(|number| {
                    let done = done.clone();
                    tokio::spawn(async move {
                        for _ in 0..TURNS {
                            done.lock().unwrap().push(number);
                            let mut gave_way = false;
                            poll_fn(|cx| {
                                if std::mem::replace(&mut gave_way, true) { Poll::Ready(()) } else { poll_give_way(cx) }
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
        });
        WAITING.take();
        Arc::into_inner(done).unwrap().into_inner().unwrap()
    }

    #[test]
    fn others_have_their_turn_between_two_busy_tasks() {
        let turns = turns(true);
        // All of them begin at once.
        let later = &turns[1 + TASKS..];
        assert!(later.windows(2).all(|pair| pair.contains(&0)), "{turns:?}");
        assert_eq!(turns.iter().filter(|task| **task > 0).count(), TASKS * TURNS);
    }

    #[test]
    fn without_a_worker_all_go_on_after_others() {
        let turns = turns(false);
        assert!(turns.chunk_by(|one, other| (*one > 0) == (*other > 0)).all(|turns| turns.len() <= TASKS), "{turns:?}");
    }
}

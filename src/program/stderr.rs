//! Standard error. A thread of its own writes to it, so that nobody who logs waits for its reader.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::warn;

/// How many lines may wait to be written, and how many bytes. More are dropped and counted.
const LINES: usize = 8192;
const BYTES: usize = 8 * 1024 * 1024;

/// The size up to which lines are written together. A pipe takes as many bytes in one piece (`PIPE_BUF`), so that no line of
/// another program gets between.
const WRITE: usize = 4096;

/// How long to wait for a reader.
const PATIENCE: Duration = Duration::from_secs(2);

/// Standard error; once [`start`] was called, without waiting. Each write is a whole line, or several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stderr;

/// What waits to be written, once there is a thread that writes.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

#[derive(Debug)]
struct Queue {
    waiting: Sender<Item>,
    /// The size of all lines that wait.
    bytes: AtomicUsize,
    /// The thread that writes, which must not wait for room.
    writer: OnceLock<ThreadId>,
    dropped: AtomicU64,
    /// Traffic has ended: writers wait for room.
    is_patient: AtomicBool,
    /// Nobody has read for so long that the end does not wait any more.
    has_given_up: AtomicBool,
}

#[derive(Debug)]
enum Item {
    Lines(Vec<u8>),
    /// All before it was written.
    Flushed(Sender<()>),
}

/// Starts the thread. Until then lines are written as they come.
pub(crate) fn start() -> io::Result<()> {
    let (queue, items) = Queue::new(LINES);
    let queue = Arc::new(queue);
    let writing = queue.clone();
    let write = move || {
        writing.write_to(io::stderr(), &items, |dropped| {
            warn!("{dropped} lines of this log were dropped so far: standard error was not read in time");
        });
    };
    thread::Builder::new().name("stderr".to_owned()).spawn(write)?;
    let _ = QUEUE.set(queue);
    Ok(())
}

/// Waits until all is written that was logged so far. Gives up if nobody reads it.
pub(crate) fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(PATIENCE);
    }
}

/// The traffic has ended: waits until all is written, and from now on drops no line. Gives up for good if nobody reads.
pub(crate) fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.finish(PATIENCE);
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match QUEUE.get() {
            Some(queue) => queue.add(bytes),
            None => io::stderr().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    fn new(lines: usize) -> (Self, Receiver<Item>) {
        let (waiting, items) = bounded(lines);
        let (is_patient, has_given_up) = (AtomicBool::new(false), AtomicBool::new(false));
        let (bytes, dropped) = (AtomicUsize::new(0), AtomicU64::new(0));
        (Self { waiting, bytes, writer: OnceLock::new(), dropped, is_patient, has_given_up }, items)
    }

    fn add(&self, lines: &[u8]) {
        let item = Item::Lines(lines.to_vec());
        let waits = self.is_patient.load(Ordering::Relaxed) && self.writer.get() != Some(&thread::current().id());
        let bytes = self.bytes.fetch_add(lines.len(), Ordering::Relaxed) + lines.len();
        let is_added = if waits {
            self.waiting.send_timeout(item, PATIENCE).is_ok() || {
                self.give_up();
                false
            }
        } else {
            bytes <= BYTES.max(lines.len()) && self.waiting.try_send(item).is_ok()
        };
        if !is_added {
            self.bytes.fetch_sub(lines.len(), Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether all that was added is written within this time.
    fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let (flushed, is_flushed) = bounded(1);
        self.waiting.send_deadline(Item::Flushed(flushed), deadline).is_ok()
            && is_flushed.recv_deadline(deadline).is_ok()
    }

    fn finish(&self, patience: Duration) {
        if self.has_given_up.load(Ordering::Relaxed) {
            return;
        }
        self.is_patient.store(true, Ordering::Relaxed);
        // The first flush may have queued the line about dropped lines.
        if !self.flush(patience) || !self.flush(patience) {
            self.give_up();
        }
    }

    fn give_up(&self) {
        self.has_given_up.store(true, Ordering::Relaxed);
        self.is_patient.store(false, Ordering::Relaxed);
    }

    /// Writes everything to `out`, whose errors it ignores, and calls `tell` with the number of all lines that were dropped
    /// once there is room to log it.
    fn write_to(&self, mut out: impl Write, items: &Receiver<Item>, tell: impl Fn(u64)) {
        let _ = self.writer.set(thread::current().id());
        let (mut told, mut together) = (0, Vec::new());
        while let Ok(item) = items.recv() {
            let mut next = Some(item);
            let mut flushed = None;
            while let Some(item) = next {
                if let Item::Lines(lines) = &item {
                    self.bytes.fetch_sub(lines.len(), Ordering::Relaxed);
                }
                match item {
                    Item::Lines(lines) if together.is_empty() || together.len() + lines.len() <= WRITE => {
                        together.extend(lines);
                    }
                    Item::Lines(lines) => {
                        let _ = out.write_all(&together);
                        together = lines;
                    }
                    Item::Flushed(done) => {
                        flushed = Some(done);
                        break;
                    }
                }
                next = if together.len() < WRITE { items.try_recv().ok() } else { None };
            }
            let _ = out.write_all(&together);
            together.clear();
            let dropped = self.dropped.load(Ordering::Relaxed);
            if dropped > told && items.is_empty() {
                told = dropped;
                tell(dropped);
            }
            if let Some(flushed) = flushed {
                let _ = flushed.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};

    use super::*;

    /// More than a pipe holds.
    static LINE: [u8; 1 << 20] = [b'a'; 1 << 20];

    /// Reads as much as there is for one line of `len` bytes.
    fn read(out: &mut impl Read, len: usize) -> Vec<u8> {
        let mut line = vec![0; len];
        out.read_exact(&mut line).unwrap();
        line
    }

    /// A queue of three lines, and what is read of them.
    fn world() -> (Arc<Queue>, BufReader<io::PipeReader>) {
        let (reader, writer) = io::pipe().unwrap();
        let (queue, items) = Queue::new(3);
        let queue = Arc::new(queue);
        let writing = queue.clone();
        thread::spawn(move || {
            let tell = |dropped| writing.add(format!("{dropped} dropped\n").as_bytes());
            writing.write_to(writer, &items, tell);
        });
        (queue, BufReader::new(reader))
    }

    /// The thread is in the middle of a line that nobody reads, and has taken all before it.
    fn block(queue: &Queue) {
        queue.add(&LINE);
        while !queue.waiting.is_empty() {
            thread::yield_now();
        }
    }

    #[test]
    fn bytes_that_find_no_room_are_dropped() {
        let (queue, mut reader) = world();
        block(&queue);
        let large = vec![b'b'; BYTES];
        queue.add(&large);
        queue.add(b"1\n");
        read(&mut reader, LINE.len() + large.len());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "1 dropped\n");
        queue.add(b"2\n");
        assert_eq!(read(&mut reader, 2), b"2\n");
    }

    #[test]
    fn lines_that_find_no_room_are_dropped_and_counted_behind_those_that_did() {
        let (queue, mut reader) = world();
        block(&queue);
        for line in ["1\n", "2\n", "3\n", "4\n", "5\n"] {
            queue.add(line.as_bytes());
        }
        read(&mut reader, LINE.len());
        let lines: Vec<_> = reader.lines().take(4).map(Result::unwrap).collect();
        assert_eq!(lines, ["1", "2", "3", "2 dropped"]);
    }

    #[test]
    fn the_last_lines_wait_for_room() {
        let (queue, mut reader) = world();
        block(&queue);
        for line in ["1\n", "2\n", "3\n", "4\n"] {
            queue.add(line.as_bytes());
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                queue.finish(Duration::from_secs(30));
                for line in ["a\n", "b\n", "c\n", "d\n", "e\n"] {
                    queue.add(line.as_bytes());
                }
                queue.finish(Duration::from_secs(30));
            });
            read(&mut reader, LINE.len());
            let lines: Vec<_> = reader.lines().take(9).map(Result::unwrap).collect();
            assert_eq!(lines, ["1", "2", "3", "1 dropped", "a", "b", "c", "d", "e"]);
        });
    }

    #[test]
    fn without_a_reader_the_end_comes_nevertheless() {
        let (queue, reader) = world();
        block(&queue);
        queue.finish(Duration::from_millis(10));
        for _ in 0..4 {
            queue.add(b"too late\n");
        }
        // What `finish` waited for has a place, too.
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 2);
        // It does not wait again.
        queue.finish(Duration::MAX);
        drop(reader);
    }

    #[test]
    fn a_reader_that_has_left_stops_nothing() {
        let (queue, reader) = world();
        drop(reader);
        for _ in 0..100 {
            queue.add(b"line\n");
            assert!(queue.flush(Duration::from_secs(30)));
        }
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 0);
    }
}

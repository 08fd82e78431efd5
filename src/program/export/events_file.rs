//! Events in a file, as JSON lines.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tracing::warn;

use crate::events::{Batch, Next, Reader};
use crate::json;

/// Writes events on a thread of its own: one JSON object a line, and `{"event":"lost","count":N}` where some were lost. The
/// file is flushed whenever there is nothing more to write; it is complete when the events were closed and the thread has
/// ended.
///
/// If a line cannot be written, the thread logs a warning that names `file` and ends.
pub(crate) fn write_to(
    out: impl Write + Send + 'static,
    file: impl fmt::Display + Send + 'static,
    reader: Reader,
) -> io::Result<JoinHandle<()>> {
    let waiting = Builder::new_current_thread().build()?;
    thread::Builder::new().name("events".to_owned()).spawn(move || {
        if let Err(error) = write(out, reader, &waiting) {
            warn!("{file}: writing events has stopped: {error}");
        }
    })
}

fn write(out: impl Write, mut reader: Reader, waiting: &Runtime) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    loop {
        match reader.try_next() {
            Next::Batch(batch) => write_batch(&mut out, &batch)?,
            Next::Closed => return out.flush(),
            Next::Pending => {
                out.flush()?;
                let Some(batch) = waiting.block_on(reader.next()) else { return Ok(()) };
                write_batch(&mut out, &batch)?;
            }
        }
    }
}

fn write_batch(out: &mut impl Write, batch: &Batch) -> io::Result<()> {
    if batch.lost > 0 {
        writeln!(out, r#"{{"event":"lost","count":{}}}"#, batch.lost)?;
    }
    for event in &batch.events {
        writeln!(out, "{}", json::to_string(&**event)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::PipeReader;
    use std::io::{BufRead, BufReader};

    use serde_json::Value;

    use super::*;
    use crate::events::{EVENTS, EventKind, Events};

    fn emit(events: &Events, connections: impl IntoIterator<Item = u64>) {
        let proxy = "cache".into();
        for connection in connections {
            events.emit(&proxy, || None, || EventKind::DialFailure { connection, error: "two\nlines".into() });
        }
    }

    fn ids(text: &str) -> Vec<u64> {
        let objects = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        objects.filter_map(|object| object["id"].as_u64()).collect()
    }

    #[test]
    fn at_the_end_all_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let events = Events::on();
        let writer =
            write_to(File::create(&path).unwrap(), path.display().to_string(), events.reader(Some(0))).unwrap();
        emit(&events, 1..=10_000);
        events.close();
        writer.join().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n') && ids(&text).into_iter().eq(1..=10_000));
    }

    #[test]
    fn what_was_lost_is_a_line() {
        let (read, write) = io::pipe().unwrap();
        let events = Events::on();
        let reader = events.reader(Some(0));
        emit(&events, 1..=EVENTS as u64 + 5);
        events.close();
        let writer = write_to(write, "events.jsonl", reader).unwrap();
        let text = io::read_to_string(read).unwrap();
        writer.join().unwrap();
        assert_eq!(text.lines().next(), Some(r#"{"event":"lost","count":5}"#));
        assert!(ids(&text).into_iter().eq(6..=EVENTS as u64 + 5));
    }

    #[test]
    fn a_line_is_there_before_the_next_event_is() {
        let (read, write) = io::pipe().unwrap();
        let events = Events::on();
        let writer = write_to(write, "events.jsonl", events.reader(None)).unwrap();
        let mut lines = BufReader::<PipeReader>::new(read).lines();
        for id in 1..=3 {
            emit(&events, [id]);
            assert_eq!(ids(&lines.next().unwrap().unwrap()), [id]);
        }
        events.close();
        writer.join().unwrap();
        assert!(lines.next().is_none());
    }

    #[test]
    fn a_write_that_fails_ends_the_writing_and_nothing_else() {
        let (read, write) = io::pipe().unwrap();
        let events = Events::on();
        let writer = write_to(write, "events.jsonl", events.reader(Some(0))).unwrap();
        drop(read);
        emit(&events, [1]);
        writer.join().unwrap();
        emit(&events, [2]);
        assert!(matches!(events.reader(Some(0)).try_next(), Next::Batch(batch) if batch.events.len() == 2));
    }
}

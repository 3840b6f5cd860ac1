use std::{
    io::{self, Write},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// So long a line may wait for others: a system call for each of them costs as much as a good part of its request.
const PATIENCE: Duration = Duration::from_millis(100);

/// So many bytes are enough to be written.
const ENOUGH: usize = 8 * 1024;

/// One for the process, as there is one standard error.
pub(super) static LINES: Lines =
    Lines { waiting: Mutex::new(Waiting { text: Vec::new(), is_due: false }), due: Condvar::new() };

/// Lines that wait to be written together. Warnings and errors do not wait, nor does what came before them.
pub(super) struct Lines {
    waiting: Mutex<Waiting>,
    due: Condvar,
}

struct Waiting {
    text: Vec<u8>,
    /// Somebody knows that there is something to write.
    is_due: bool,
}

impl Lines {
    /// From now on a thread writes what has waited long enough.
    pub(super) fn keep_writing(&'static self) -> io::Result<()> {
        let write = move || loop {
            drop(self.due.wait_while(self.waiting(), |waiting| !waiting.is_due));
            thread::sleep(PATIENCE);
            let mut waiting = self.waiting();
            waiting.is_due = false;
            waiting.flush();
        };
        thread::Builder::new().name("log".into()).spawn(write).map(drop)
    }

    pub(super) fn flush(&self) {
        self.waiting().flush();
    }

    fn add(&self, line: &[u8], at_once: bool) {
        let mut waiting = self.waiting();
        waiting.text.extend_from_slice(line);
        if at_once || waiting.text.len() >= ENOUGH {
            waiting.flush();
        } else if !waiting.is_due {
            waiting.is_due = true;
            self.due.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn flush(&mut self) {
        // Nobody may be reading, and there is nowhere to say so.
        let _ = io::stderr().write_all(&self.text);
        self.text.clear();
    }
}

/// Writes lines to [`LINES`], each in one piece.
pub(super) struct InTime;

impl MakeWriter<'_> for InTime {
    type Writer = Place;

    fn make_writer(&self) -> Place {
        Place { at_once: true }
    }

    fn make_writer_for(&self, about: &Metadata<'_>) -> Place {
        Place { at_once: *about.level() <= Level::WARN }
    }
}

/// A line's place among the others.
pub(super) struct Place {
    at_once: bool,
}

impl Write for Place {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.add(line, self.at_once);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

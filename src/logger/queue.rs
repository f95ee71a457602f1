//! Lines on their way to who reads the log. A backup waits for him a moment at most: what finds no room is counted, and
//! the count is said in its place when he reads on.

use std::collections::VecDeque;
use std::io::Write;
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// So many lines may wait: some hundred nights, or a moment of `trace`.
const ROOM: usize = 1024;

/// How long a reader may let everybody wait before lines are left out, and at the end for what he has not read yet.
const PATIENCE: Duration = Duration::from_secs(1);

/// The lines that wait. Clones share them.
#[derive(Clone)]
pub(super) struct Queue(Arc<(Mutex<Waiting>, Condvar)>);

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    /// How many came after these and found no room.
    missing: u64,
    /// Whether one is being written.
    writing: bool,
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.lines.len() >= ROOM
    }

    fn is_empty(&self) -> bool {
        !self.writing && self.lines.is_empty() && self.missing == 0
    }
}

impl Queue {
    /// A queue whose lines a thread writes to `to`, where `gap` is the line that says how many are missing. None if the
    /// system starts no thread.
    pub(super) fn start(
        mut to: impl Write + Send + 'static,
        gap: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> Option<Self> {
        let queue = Self(Arc::default());
        let lines = queue.clone();
        let write = move || {
            loop {
                // Where nobody can read any more, nobody misses it.
                let _ = to.write_all(&lines.next(&gap)).and_then(|()| to.flush());
            }
        };
        thread::Builder::new().name("log".into()).spawn(write).ok()?;
        Some(queue)
    }

    /// Add one line. It waits for room only while the reader reads.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.wait_while(|waiting| waiting.is_full() && waiting.missing == 0);
        // What comes after a gap waits until the gap has been said.
        if waiting.is_full() || waiting.missing > 0 {
            waiting.missing += 1;
        } else {
            waiting.lines.push_back(line.to_vec());
        }
        self.changed().notify_all();
    }

    /// Wait until all is written; not for a reader who does not read.
    pub(super) fn finish(&self) {
        drop(self.wait_while(|waiting| !waiting.is_empty()));
    }

    /// The next line to write, when there is one. The one before it is written.
    fn next(&self, gap: impl Fn(u64) -> Vec<u8>) -> Vec<u8> {
        let mut waiting = self.lock();
        waiting.writing = false;
        self.changed().notify_all();
        waiting = unpoisoned(self.changed().wait_while(waiting, |waiting| waiting.is_empty()));
        waiting.writing = true;
        waiting.lines.pop_front().unwrap_or_else(|| gap(take(&mut waiting.missing)))
    }

    fn wait_while(&self, condition: impl Fn(&Waiting) -> bool) -> MutexGuard<'_, Waiting> {
        unpoisoned(self.changed().wait_timeout_while(self.lock(), PATIENCE, |waiting| condition(waiting))).0
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        unpoisoned(self.0.0.lock())
    }

    fn changed(&self) -> &Condvar {
        &self.0.1
    }
}

/// Nothing here leaves the lines half changed.
fn unpoisoned<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader who takes a line when he is told to, and keeps what he has read.
    struct Reader {
        go: Sender<()>,
        read: Receiver<String>,
    }

    struct Pipe {
        go: Receiver<()>,
        written: Sender<String>,
    }

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            let _ = self.go.recv();
            let _ = self.written.send(String::from_utf8(line.to_vec()).unwrap());
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn start() -> (Queue, Reader) {
        let (go, wait) = channel();
        let (written, read) = channel();
        let gap = |missing| format!("{missing} are missing").into_bytes();
        let queue = Queue::start(Pipe { go: wait, written }, gap).unwrap();
        (queue, Reader { go, read })
    }

    impl Reader {
        fn read(&self) -> String {
            self.go.send(()).unwrap();
            self.read.recv().unwrap()
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_the_count_stands_in_its_place() {
        let (queue, reader) = start();
        queue.push(b"first");
        // Only now is it certain that the first one waits no longer.
        assert_eq!(reader.read(), "first");
        queue.push(b"second");
        while !queue.lock().writing {
            thread::yield_now();
        }
        let lines: Vec<_> = (0..ROOM + 7).map(|number| number.to_string()).collect();
        for line in &lines {
            queue.push(line.as_bytes());
        }
        assert_eq!(reader.read(), "second");
        // There is room again, but what came before is still to be said.
        assert_eq!(reader.read(), "0");
        queue.push(b"too early");
        for line in &lines[1..ROOM] {
            assert_eq!(reader.read(), *line);
        }
        assert_eq!(reader.read(), "8 are missing");
        queue.push(b"last");
        assert_eq!(reader.read(), "last");
    }

    #[test]
    fn at_the_end_it_waits_for_who_reads_and_not_for_who_does_not() {
        let (queue, reader) = start();
        for _ in 0..100 {
            reader.go.send(()).unwrap();
            queue.push(b"a line");
        }
        queue.finish();
        assert_eq!(reader.read.try_iter().count(), 100);
        queue.push(b"a line that nobody reads");
        queue.finish();
        assert_eq!(reader.read.try_iter().count(), 0);
    }
}

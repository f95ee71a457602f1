//! The bar on a terminal: bytes, files, rate, and the time left, as soon as it is known how much there is.

use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use indicatif::{ProgressBar, ProgressStyle};

use crate::progress::Progress;
use crate::threads::spawn;

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(100);

/// Do the work, and draw meanwhile, if there is something to draw.
pub fn with<T>(progress: Option<&Progress>, work: impl FnOnce() -> T) -> T {
    let Some(progress) = progress else { return work() };
    let (done, is_done) = bounded::<()>(0);
    std::thread::scope(|scope| {
        // Without a thread for it there is no bar; the work is what counts.
        let _ = spawn(scope, move || {
            let bar = ProgressBar::no_length();
            let mut known = false;
            bar.set_style(style("{spinner} {bytes} {binary_bytes_per_sec} {msg} {elapsed}"));
            while is_done.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let (entries, bytes, stored) = progress.so_far();
                let expected = progress.expected();
                if expected > 0 && !known {
                    known = true;
                    bar.set_style(style(
                        "{wide_bar} {bytes} of about {total_bytes}, {binary_bytes_per_sec}, {msg}, {eta} left",
                    ));
                }
                if known {
                    // What is there now may be more than there was last time.
                    bar.set_length(expected.max(bytes));
                }
                // A restore stores nothing.
                let stored = (stored > 0).then(|| format!(", {} stored", indicatif::BinaryBytes(stored)));
                bar.set_message(format!("{entries} entries{}", stored.unwrap_or_default()));
                bar.set_position(bytes);
                bar.tick();
            }
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

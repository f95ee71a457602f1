//! The log: lines on standard error, with the time in the configured zone.

mod queue;

use std::fmt::Display;
use std::io::{self, Write, stderr};
use std::sync::{Arc, OnceLock};

use crate::printable::printable;
use crate::zone::Tz;
use anstream::AutoStream;
use chrono::SecondsFormat;
use env_logger::Target;
use env_logger::fmt::style::Style;
use log::{Level, Record};
use serde_json::json;

use self::queue::Queue;
use crate::clock::Clock;
use crate::config::{Config, LogFormat};

/// What the daemon's lines go through.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Start logging as configured, with the time in the zone of the first job. What cannot be written is dropped: nobody
/// reads it, and a backup does not fail for that.
///
/// A `daemon` does not wait either for who holds the log open and does not read it: see [`queue`]. Who has typed a
/// command does not lose a line of it, however long he takes.
pub fn start(config: &Config, clock: impl Clock + 'static, daemon: bool) {
    let zone = config.jobs.first().map_or(Tz::UTC, |job| job.zone);
    let line = Arc::new(Line { clock, zone, format: config.log_format });
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(&config.log);
    if daemon {
        let gap = Arc::clone(&line);
        let queue = Queue::start(stderr(), move |missing| {
            let mut said = Vec::new();
            let args = format_args!("{missing} lines of the log are missing here: nobody read them in time");
            let record = Record::builder().level(Level::Warn).target(module_path!()).args(args).build();
            let _ = gap.write(&mut said, Style::new(), &record);
            said
        });
        if let Some(queue) = queue {
            builder.target(Target::Pipe(Box::new(QUEUE.get_or_init(|| queue).clone())));
            builder.write_style(AutoStream::choice(&stderr()).into());
            // What Rust says of a panic by itself would wait for the reader.
            std::panic::set_hook(Box::new(|panic| {
                log::error!("{}", printable(panic.to_string().as_bytes()));
                finish();
            }));
        }
    }
    builder.format(move |buffer, record| {
        let style = buffer.default_level_style(record.level());
        line.write(buffer, style, record)
    });
    // Only a second start could fail, and there is none.
    let _ = builder.try_init();
}

/// Say why the process ends, behind the log.
pub fn say_last(error: impl Display) {
    let line = format!("tarkeep: {error}\n");
    match QUEUE.get() {
        Some(queue) => queue.push(line.as_bytes()),
        // Where nobody listens, the exit code still says it.
        None => drop(stderr().write_all(line.as_bytes())),
    }
}

/// Before the process ends: let the reader of a daemon's log have what he has not read yet, if he reads.
pub fn finish() {
    QUEUE.get().inspect(|queue| queue.finish());
}

/// How a line looks.
struct Line<C> {
    clock: C,
    zone: Tz,
    format: LogFormat,
}

impl<C: Clock> Line<C> {
    fn write(&self, to: &mut impl Write, level: Style, record: &Record) -> io::Result<()> {
        let now = self.clock.now().with_timezone(&self.zone).to_rfc3339_opts(SecondsFormat::Secs, false);
        match self.format {
            LogFormat::Text => writeln!(to, "{now} {level}{:5}{level:#} {}", record.level(), record.args()),
            LogFormat::Json => {
                let line = json!({
                    "time": now,
                    "level": record.level().as_str().to_ascii_lowercase(),
                    "target": record.target(),
                    "message": record.args().to_string(),
                });
                writeln!(to, "{line}")
            }
        }
    }
}

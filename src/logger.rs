//! The log: lines on standard error, with the time in the configured zone.

use std::io::Write;

use crate::zone::Tz;
use chrono::SecondsFormat;
use serde_json::json;

use crate::clock::Clock;
use crate::config::{Config, LogFormat};

/// Start logging as configured, with the time in the zone of the first job. What cannot be written is dropped: nobody
/// reads it, and a backup does not fail for that.
pub fn start(config: &Config, clock: impl Clock + 'static) {
    let zone = config.jobs.first().map_or(Tz::UTC, |job| job.zone);
    let now = move || clock.now().with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false);
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(&config.log);
    match config.log_format {
        LogFormat::Text => builder.format(move |buffer, record| {
            let level = buffer.default_level_style(record.level());
            writeln!(buffer, "{} {level}{:5}{level:#} {}", now(), record.level(), record.args())
        }),
        LogFormat::Json => builder.format(move |buffer, record| {
            let line = json!({
                "time": now(),
                "level": record.level().as_str().to_ascii_lowercase(),
                "target": record.target(),
                "message": record.args().to_string(),
            });
            writeln!(buffer, "{line}")
        }),
    };
    // Only a second start could fail, and there is none.
    let _ = builder.try_init();
}

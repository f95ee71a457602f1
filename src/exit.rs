//! How the process ends: one fact each, documented and stable.

use std::process::ExitCode;

/// The outcome of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All done, nothing to add.
    Complete,
    /// Failed; nothing was published.
    Failed,
    /// What was compared is not the same.
    Different,
    /// A wrong argument or a wrong configuration; nothing was touched.
    Usage,
    /// An archive was published, but it is incomplete or suspect.
    Incomplete,
    /// An archive was published, but a later step failed.
    LaterStep,
    /// Verification found damage.
    Damaged,
    /// Another run works on the same destination.
    Locked,
    /// Ended by this signal.
    Signal(i32),
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed | Self::Different => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::LaterStep => 4,
            Self::Damaged => 5,
            Self::Locked => 11,
            Self::Signal(signal) => 128_u8.wrapping_add(signal as u8),
        }
    }
}

impl Exit {
    /// Of two ends, the one that people must hear of: a failure before a success with reservations, that before none.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::Complete => 0,
            Self::LaterStep | Self::Different => 1,
            Self::Incomplete => 2,
            Self::Damaged => 3,
            Self::Locked => 4,
            Self::Failed => 5,
            Self::Usage => 6,
            Self::Signal(_) => 7,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

//! Starting threads: where the system has no more of them, as under a container's limit, that is an error and no panic.

use std::thread::{Builder, Scope, ScopedJoinHandle};

use crate::error::{Error, Result};

/// Start a thread of this scope.
///
/// # Errors
/// If the system starts no more.
pub fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().spawn_scoped(scope, work).map_err(|e| {
        Error::failed(format!("start a thread: {e}; are the container's or the user's processes limited?"))
    })
}

//! What one thread does to the caches of all cids.

use core::time::Duration;

use super::RawPool;
use crate::magazine::RemoteError;
use crate::scope::Scope;

/// What one thread does to the caches of all.
impl<S: Scope> RawPool<S> {
    /// Takes the free objects of all cids to the depot, where any thread finds them; how
    /// many those were. One fence for all.
    ///
    /// # Errors
    ///
    /// See [`RemoteError`]: nothing was taken.
    pub fn drain(&self) -> Result<usize, RemoteError> {
        self.magazines
            .drain(|_| true, &self.source())
            .map(|taken| taken.words)
    }

    /// The same for one cid.
    ///
    /// # Errors
    ///
    /// As [`drain`](RawPool::drain).
    pub fn drain_cid(&self, cid: u32) -> Result<usize, RemoteError> {
        let taken = self
            .magazines
            .drain(|it| it.cid == Some(cid), &self.source())?;
        Ok(taken.words)
    }

    /// The same for cids that have not missed for so long, nor hold another number of
    /// objects than when last looked at. So the first call only looks.
    ///
    /// # Errors
    ///
    /// As [`drain`](RawPool::drain).
    pub fn drain_idle(&self, age: Duration) -> Result<usize, RemoteError> {
        self.magazines
            .drain_idle(age, &self.source())
            .map(|taken| taken.words)
    }

    /// Drains a cid and caches nothing for it any more, until [`start`](RawPool::start):
    /// whoever runs there goes to the depot.
    ///
    /// # Errors
    ///
    /// As [`drain`](RawPool::drain).
    pub fn stop(&self, cid: u32) -> Result<usize, RemoteError> {
        self.magazines
            .stop(cid, &self.source())
            .map(|taken| taken.words)
    }

    /// Caches for a cid again.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Busy`].
    pub fn start(&self, cid: u32) -> Result<(), RemoteError> {
        self.magazines.start(cid)
    }

    /// Changes what a cid may cache, in bytes, up to what the pool was built for; what is
    /// cached beyond that goes to the depot.
    ///
    /// # Errors
    ///
    /// As [`drain`](RawPool::drain). After [`RemoteError::NoFence`] it holds for what is
    /// freed from now on.
    pub fn resize(&self, bytes: usize) -> Result<(), RemoteError> {
        let most = u32::try_from(bytes / self.shape.stride).unwrap_or(u32::MAX);
        self.magazines.resize(2, most, &self.source())
    }
}

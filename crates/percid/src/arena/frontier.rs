//! How far the arena is open: which stripes, and up to which word.
//!
//! Two dimensions grow without a lock, by the protocol of
//! [`Limit`]: announce mine, read yours, open, publish.
//! Invariant: every stripe below the published number is open up to the published
//! length. The loom tests of this crate check it.

use core::ops::Range;

use percid_cid::Limit;

/// The stripes of both kinds, and their common length in granules. On lines of its
/// own: sections read the limit all the time, and it hardly ever changes.
#[repr(align(128))]
#[derive(Debug)]
pub(crate) struct Frontier {
    cids: Limit,
    threads: Limit,
    pub(super) length: Limit,
}

/// The kind of stripe that grows in number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stripes that sections write.
    Cid,
    /// Stripes of threads without sections.
    Thread,
}

/// Opens memory: stripes of a kind from their start up to `length` granules, each
/// harmlessly if it is open already.
pub(crate) trait Open {
    /// Why it can fail.
    type Error;

    /// Opens stripes.
    ///
    /// # Errors
    ///
    /// If the system refuses; what was open stays open.
    fn open(&self, kind: Kind, stripes: Range<u32>, length: u32) -> Result<(), Self::Error>;
}

impl Frontier {
    /// Nothing open.
    #[cfg(not(loom))]
    #[must_use]
    pub(crate) const fn new() -> Frontier {
        Frontier {
            cids: Limit::new(),
            threads: Limit::new(),
            length: Limit::new(),
        }
    }

    /// Nothing open.
    #[cfg(loom)]
    #[must_use]
    pub(crate) fn new() -> Frontier {
        Frontier {
            cids: Limit::new(),
            threads: Limit::new(),
            length: Limit::new(),
        }
    }

    /// The number of stripes of a kind.
    #[must_use]
    pub(crate) fn stripes(&self, kind: Kind) -> &Limit {
        match kind {
            Kind::Cid => &self.cids,
            Kind::Thread => &self.threads,
        }
    }

    /// Opens stripes until there are `to` of a kind.
    ///
    /// # Errors
    ///
    /// If opening fails. The stripes are not published then.
    pub(crate) fn activate<O: Open>(
        &self,
        kind: Kind,
        to: u32,
        memory: &O,
    ) -> Result<(), O::Error> {
        let stripes = self.stripes(kind);
        let from = stripes.get();
        stripes.announce(to);
        // Somebody who lengthens and has not seen the announcement has announced
        // his length before this looks.
        memory.open(kind, from..to, self.length.announced())?;
        stripes.publish(to);
        Ok(())
    }

    /// Opens all stripes up to `to` granules.
    ///
    /// # Errors
    ///
    /// If opening fails. The length is not published then.
    pub(crate) fn lengthen<O: Open>(&self, to: u32, memory: &O) -> Result<(), O::Error> {
        if self.length.get() >= to {
            return Ok(());
        }
        self.length.announce(to);
        for kind in [Kind::Cid, Kind::Thread] {
            memory.open(kind, 0..self.stripes(kind).announced(), to)?;
        }
        self.length.publish(to);
        Ok(())
    }
}

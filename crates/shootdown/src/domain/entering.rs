//! How readers come in.

use percid::Scope;
use percid_rseq::Refusal;

use super::guard::Belonging;
use super::stripe::{self, Seat};
use super::{Guard, ReclaimDomain};
use crate::counted;

impl<S: Scope> ReclaimDomain<S> {
    /// Begins a section: what is reached from here on stays until the guard is dropped.
    #[inline]
    pub fn enter(&self) -> Guard<'_> {
        match self.sit() {
            // SAFETY: claimed; the room stays for as long as the domain.
            Ok(seat) => unsafe { Guard::seated(self, seat) },
            Err(_) => self.enter_slow(),
        }
    }

    /// One section, where there are any.
    #[inline(always)]
    fn sit(&self) -> Result<*mut u64, Refusal> {
        // SAFETY: the part leads to seats, and so does the room: 0, or their guards'.
        unsafe {
            match S::HAS_PARTS {
                true => self.part.run(&Seat),
                false => self.room.run(&self.chosen),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_slow(&self) -> Guard<'_> {
        self.open();
        // SAFETY: as in `enter`; the first words of a cid's stripe are seats, too.
        let seat = unsafe {
            match self.part.leads() {
                true => self.part.run_slow(&self.room, &Seat),
                false if self.is_open() => self.room.run(&self.chosen),
                false => Err(Refusal::Unsupported),
            }
        };
        match seat {
            // SAFETY: as in `enter`.
            Ok(seat) => unsafe { Guard::seated(self, seat) },
            Err(_) => self.enter_counted(),
        }
    }

    /// Begins a section by a count, as where there are no sections.
    #[doc(hidden)]
    pub fn enter_counted(&self) -> Guard<'_> {
        let counts = match self.room.fallback() {
            Ok(stripe) => &stripe.words()[..2],
            Err(_) => &self.crowd,
        };
        let count = counted::raise(&self.phase, |phase| &counts[stripe::count_of(phase)]);
        Guard::counted(self, count)
    }

    /// Whether a guard is of this domain.
    ///
    /// ```
    /// use percid_shootdown::ReclaimDomain;
    ///
    /// let (routes, users) = (ReclaimDomain::new(), ReclaimDomain::new());
    /// let guard = routes.enter();
    /// assert!(routes.is_entered_by(&guard) && !users.is_entered_by(&guard));
    /// ```
    ///
    /// # Cost
    ///
    /// A comparison: a guard knows its domain.
    #[inline]
    #[must_use]
    #[allow(private_bounds, reason = "as the guard's")]
    pub fn is_entered_by<B: Belonging>(&self, guard: &Guard<'_, B>) -> bool {
        guard.domain() == core::ptr::from_ref(self).addr()
    }
}

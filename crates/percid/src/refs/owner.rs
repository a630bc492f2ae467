//! Whose drop ends an object's life.

use alloc::sync::Arc;
use core::marker::PhantomData;
use core::ptr::NonNull;

use percid_cid::Domain;

use super::arc::PercidArc;
use super::block::{Block, Header, core_of};
use super::weak::PercidWeak;
use crate::arena::{ArenaError, Gate, ScopedGate};
use crate::scope::{Process, Scope};

/// The owner of an object that many threads refer to.
///
/// The owner is the one who decides that the object shall go: its drop *kills* the
/// reference count ([`Ref::kill`](crate::Ref::kill)). Until then references from
/// [`share`](Owner::share) are counted by cid, so that nobody knows how many there are;
/// afterwards the last one drops the object, at once.
///
/// ```
/// use percid::Owner;
///
/// let routes = Owner::new(vec![1, 2, 3]);
/// let reader = std::thread::spawn({
///     let routes = routes.share();
///     move || routes.iter().sum::<i32>()
/// });
/// assert_eq!(reader.join().unwrap(), 6);
/// drop(routes); // no reference is left: the vector goes here
/// ```
///
/// # Cost
///
/// The drop is a fence of the whole process, 0.3 to 11 microseconds, if the object was
/// ever shared: this is for objects that live long and are shared much. 40 bytes before
/// the object, and eight in each active cid's stripe from the first share on.
///
/// # Fallback
///
/// As [`Ref`](crate::Ref). Where the fence is refused once references are counted by cid,
/// as in a sandbox that is entered later, the object is never dropped.
///
/// # Fork and signals
///
/// As [`Ref`](crate::Ref): an owner must not be dropped in a signal handler. In a child of
/// `fork` objects whose references other threads had are never dropped.
#[must_use = "the owner's drop kills the object"]
pub struct Owner<T: ?Sized, S: Scope = Process> {
    pub(super) value: NonNull<T>,
    header: NonNull<Header<S>>,
    owns: PhantomData<T>,
}

// SAFETY: an owner gives `&T` to whatever thread has it, and the last reference to go drops
// the object where it is: it takes what `Arc` takes. What it counts by is atomic.
unsafe impl<T: ?Sized + Send + Sync, S: Scope> Send for Owner<T, S> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync, S: Scope> Sync for Owner<T, S> {}

impl<T> Owner<T> {
    /// An object of its own.
    pub fn new(value: T) -> Owner<T> {
        let (value, header) = Block::allocate(value, Gate::new());
        Owner {
            value,
            header,
            owns: PhantomData,
        }
    }
}

impl<T> Owner<T, Domain> {
    /// An object of its own whose references are counted by the ids of a domain, which it
    /// keeps alive.
    ///
    /// ```
    /// use percid::{Bound, Domain, Owner};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Domain::builder().bound(Bound::Strict).build()?;
    /// let routes = Owner::in_domain(&pool, vec![1, 2, 3])?;
    /// let reader = routes.share();
    /// drop(routes);
    /// assert_eq!(reader.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or all words of the domain are in use; the object
    /// is dropped.
    pub fn in_domain(domain: &Domain, value: T) -> Result<Owner<T, Domain>, ArenaError> {
        let (value, header) = Block::allocate(value, ScopedGate::new(domain)?);
        Ok(Owner {
            value,
            header,
            owns: PhantomData,
        })
    }
}

impl<T: ?Sized, S: Scope> Owner<T, S> {
    /// A reference to the object.
    #[inline]
    #[must_use = "a reference that is dropped at once holds nothing"]
    pub fn share(&self) -> PercidArc<T, S> {
        // SAFETY: the owner's own reference keeps the block.
        unsafe { core_of(self.header) }.get();
        PercidArc::of(self.value, Some(self.header))
    }

    /// A reference that does not keep the object.
    #[must_use = "a reference that is dropped at once leads nowhere"]
    pub fn downgrade(&self) -> PercidWeak<T, S> {
        // SAFETY: the owner's own reference keeps the block.
        unsafe { PercidWeak::to(self.value, Some(self.header)) }
    }
}

/// The object stays in the `Arc`, whose other references keep it as before.
impl<T: ?Sized> From<Arc<T>> for Owner<T> {
    fn from(object: Arc<T>) -> Owner<T> {
        let value = Arc::as_ptr(&object).cast_mut();
        let (_, header) = Block::allocate(object, Gate::new());
        Owner {
            // SAFETY: an `Arc` points to its object, which is no less than somewhere.
            value: unsafe { NonNull::new_unchecked(value) },
            header,
            owns: PhantomData,
        }
    }
}

impl<T: ?Sized, S: Scope> Drop for Owner<T, S> {
    fn drop(&mut self) {
        // SAFETY: the owner's own reference keeps the block, and is put only below.
        if unsafe { core_of(self.header) }.kill().is_ok() {
            drop(PercidArc::of(self.value, Some(self.header)));
        }
    }
}

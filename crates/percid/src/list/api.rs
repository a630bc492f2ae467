//! Lists, their nodes, and what was taken from other cids.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;

use percid_cid::Domain;
use percid_rseq::Refusal;

use super::loose::Loose;
use super::words::{Pop, Push, WORDS, Words, last, next};
use crate::arena::ArenaError;
use crate::magazine::Control;
use crate::pool::Mode;
use crate::room::Room;
use crate::scope::{Process, Scope};

/// The part of a node that is the list's, for as long as the node is on one.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Link(pub(super) AtomicU64);

impl Link {
    /// The link of a node that is on no list.
    #[must_use]
    pub const fn new() -> Link {
        Link(AtomicU64::new(0))
    }

    /// # Safety
    ///
    /// The address of a link that lives for `'a`.
    pub(super) unsafe fn at<'a>(address: u64) -> &'a Link {
        // SAFETY: the caller's contract; its node's address was exposed when it was pushed.
        unsafe { &*core::ptr::with_exposed_provenance(address as usize) }
    }
}

/// What has a [`Link`], to be a node of a [`List`].
///
/// ```
/// use percid::{Link, Linked};
///
/// struct Node {
///     value: u64,
///     link: Link,
/// }
///
/// // SAFETY: that is where the link is.
/// unsafe impl Linked for Node {
///     const LINK: usize = core::mem::offset_of!(Node, link);
/// }
/// ```
///
/// # Safety
///
/// `LINK` is the offset of a field of type [`Link`], and nothing but lists changes that
/// field while the node is on one.
pub unsafe trait Linked {
    /// Where the link lies, in bytes from the start.
    const LINK: usize;
}

/// An intrusive list, last in, first out, per cid: for nodes that stay mapped.
///
/// ```
/// use core::ptr::NonNull;
/// use percid::{Link, Linked, List};
///
/// struct Block {
///     link: Link,
///     bytes: [u8; 56],
/// }
///
/// // SAFETY: that is where the link is.
/// unsafe impl Linked for Block {
///     const LINK: usize = core::mem::offset_of!(Block, link);
/// }
///
/// static FREE: List<Block> = List::new();
///
/// fn take() -> NonNull<Block> {
///     FREE.pop().unwrap_or_else(|| {
///         let block = Block { link: Link::new(), bytes: [0; 56] };
///         NonNull::from(Box::leak(Box::new(block)))
///     })
/// }
///
/// let block = take();
/// // SAFETY: ours, on no list, and mapped to the end of the program.
/// unsafe { FREE.push(block) };
///
/// // Those of other cids, too.
/// let all = FREE.drain()?;
/// assert_eq!(all.count(), 1);
/// # Ok::<(), percid::RemoteError>(())
/// ```
///
/// # Cost
///
/// Push and pop are one section each: six and seven loads, three and two plain stores, no
/// atomic read-modify-write, no fence. Three words per *active* cid; nodes cost what their
/// links do. [`drain`](List::drain) and [`steal`](List::steal) are a fence and a look at
/// every node that they take.
///
/// # Shapes and units
///
/// Nodes are aligned to 8 bytes at the least. There is no bound: use a
/// [`RawPool`](crate::RawPool) where what a cid keeps must have one. Dropping a list forgets
/// the nodes that are on it.
///
/// # Errors
///
/// See [`RemoteError`](crate::RemoteError). Push and pop cannot fail; a pop that finds nothing
/// says only that the current cid has nothing.
///
/// # Fallback
///
/// A thread without sections has a list that it may share with others of its kind, changed by
/// single read-modify-writes; where another one is in its way, it goes to a chain of nodes
/// that all threads share, and that a pop has to walk. Without a fence nothing is taken from
/// other cids: [`mode`](List::mode) says so.
///
/// # Fork and signals
///
/// Push and pop may be called from signal handlers, before `main` and in destructors of
/// thread-locals; so may the rest, which answers [`Busy`](crate::RemoteError::Busy) if the
/// handler has interrupted such a call. A child of `fork` has a list of its own with the nodes
/// that were on it at that moment, if their memory is the child's, too; what other threads of the
/// parent had in hand, or held in a list of threads without sections that one of them was
/// popping from, is lost to the child. A handler may fork: a drain that it has interrupted goes
/// on in the child, too, and others answer [`Busy`](crate::RemoteError::Busy) until then. A
/// thread that ends leaves nothing behind but its hand.
///
/// # Source
///
/// The list of librseq; tcmalloc's way to take what is another CPU's.
pub struct List<T: Linked, S: Scope = Process> {
    pub(super) room: Room<S>,
    pub(super) loose: Loose,
    pub(super) control: Control,
    nodes: PhantomData<*mut T>,
}

// SAFETY: the nodes go where the list goes.
unsafe impl<T: Linked + Send, S: Scope + Send> Send for List<T, S> where Room<S>: Send {}
// SAFETY: a node is one thread's at a time, so it need not be `Sync`; the rest is atomic.
unsafe impl<T: Linked + Send, S: Scope + Sync> Sync for List<T, S> where Room<S>: Sync {}

impl<T: Linked> List<T> {
    /// A list for a `static` or anywhere else. It takes its words at its first use.
    #[must_use]
    pub const fn new() -> List<T> {
        List::in_room(Room::new(WORDS))
    }
}

impl<T: Linked> Default for List<T> {
    fn default() -> List<T> {
        List::new()
    }
}

impl<T: Linked> List<T, Domain> {
    /// A list sharded by the ids of a domain, which it keeps alive.
    ///
    /// # Errors
    ///
    /// If the system refuses the memory, or the domain's arena is full.
    pub fn in_domain(domain: &Domain) -> Result<List<T, Domain>, ArenaError> {
        Ok(List::in_room(Room::in_domain(domain, WORDS)?))
    }
}

impl<T: Linked, S: Scope> List<T, S> {
    const fn in_room(room: Room<S>) -> List<T, S> {
        const {
            assert!(
                align_of::<T>() >= 8
                    && T::LINK.is_multiple_of(8)
                    && T::LINK + size_of::<Link>() <= size_of::<T>(),
                "no place for a link"
            );
        }
        List {
            room,
            loose: Loose::new(),
            control: Control::new(),
            nodes: PhantomData,
        }
    }

    /// Puts a node on top of the current cid's list.
    ///
    /// # Safety
    ///
    /// The node is the caller's and on no list. It is the list's until a pop, or an iterator
    /// over what was taken, returns it; and its memory stays mapped for as long as anybody may
    /// pop from this list.
    #[inline]
    pub unsafe fn push(&self, node: NonNull<T>) {
        let link = link_of(node);
        // SAFETY: a list at its place; a chain of one node, which is the caller's.
        if unsafe { self.room.run_once(&Push(link, link)) }.is_err() {
            self.push_otherwise(link);
        }
    }

    /// Takes the node on top of the current cid's list, if there is one.
    #[inline]
    pub fn pop(&self) -> Option<NonNull<T>> {
        // SAFETY: a list at its place; what is on it was pushed, and stays mapped.
        match unsafe { self.room.run_once(&Pop) } {
            Ok(link) => Some(node_of(link)),
            Err(_) => self.pop_otherwise().map(node_of),
        }
    }

    /// All that a thread without sections has to do, if nobody is in its way. The node is
    /// the caller's.
    #[cold]
    #[inline(never)]
    fn push_otherwise(&self, link: u64) {
        let pushed = self.room.by_thread().is_some_and(|stripe| {
            // SAFETY: a stripe of threads; a chain of one node, which is the caller's.
            unsafe { Words::of(stripe).try_push_by_thread(link, link) }.is_ok()
        });
        if !pushed {
            self.push_slow(link, link);
        }
    }

    /// As [`push_otherwise`](Self::push_otherwise).
    #[cold]
    #[inline(never)]
    fn pop_otherwise(&self) -> Option<u64> {
        let stripe = self.room.by_thread();
        match stripe.map(|stripe| Words::of(stripe).try_pop_by_thread()) {
            Some(Ok(link)) => Some(link),
            _ => self.pop_slow(),
        }
    }

    /// Pushes a chain, which is the caller's.
    fn push_chain(&self, first: u64, last: u64) {
        // SAFETY: as in `push`.
        if unsafe { self.room.run(&Push(first, last)) }.is_err() {
            self.push_slow(first, last);
        }
    }

    #[cold]
    #[inline(never)]
    fn push_slow(&self, first: u64, last: u64) {
        // SAFETY: as in `push`.
        let push = || unsafe { self.room.run(&Push(first, last)) };
        let by_thread = |stripe| {
            // SAFETY: a stripe of threads; the chain is the caller's.
            unsafe { Words::of(stripe).push_by_thread(first, last) }
        };
        let pushed = match self.room.by_thread() {
            Some(stripe) => by_thread(stripe),
            None => match push() {
                Err(Refusal::Full) => self.open_left_ones() && push().is_ok(),
                Err(_) => self.room.fallback().is_ok_and(by_thread),
                Ok(()) => true,
            },
        };
        if !pushed {
            // SAFETY: the link of a node that is the caller's.
            self.loose.push(first, unsafe { &Link::at(last).0 });
        }
    }

    #[cold]
    #[inline(never)]
    fn pop_slow(&self) -> Option<u64> {
        // SAFETY: as in `pop`.
        let pop = || unsafe { self.room.run(&Pop) };
        let by_thread = |stripe| Words::of(stripe).pop_by_thread();
        let popped = match self.room.by_thread() {
            Some(stripe) => by_thread(stripe),
            None => match pop() {
                // Empty, or stopped.
                Err(Refusal::Empty) => self.open_left_ones().then(pop).and_then(Result::ok),
                Err(_) => self.room.fallback().ok().and_then(by_thread),
                Ok(link) => Some(link),
            },
        };
        popped.or_else(|| self.pop_loose())
    }

    /// Takes the loose nodes: one for the caller, the others for the current cid.
    pub(super) fn pop_loose(&self) -> Option<u64> {
        if self.loose.is_empty() {
            return None;
        }
        let first = self.loose.take();
        (first != 0).then(|| {
            self.give_back(self.after(first));
            first
        })
    }

    /// What comes after a node of a chain that is the caller's.
    pub(super) fn after(&self, link: u64) -> u64 {
        // SAFETY: a node that was pushed to this list, and is mapped.
        unsafe { next(link) }
    }

    /// Pushes a chain that ends somewhere.
    pub(super) fn give_back(&self, first: u64) {
        if first != 0 {
            // SAFETY: nodes that were pushed to this list, and are mapped.
            self.push_chain(first, unsafe { last(first) });
        }
    }

    pub(super) fn lists(&self) -> impl Iterator<Item = Words<'_>> {
        self.room.stripes().map(Words::of)
    }

    /// Whether no cid has a node, at this moment. What others have taken and not put back
    /// does not count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.loose.is_empty() && self.lists().all(|it| it.is_empty())
    }

    /// How this list works here, and why.
    #[must_use]
    pub fn mode(&self) -> Mode {
        Mode::here()
    }
}

impl<T: Linked, S: Scope> fmt::Debug for List<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("is_empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}

/// The link of a node.
#[inline(always)]
fn link_of<T: Linked>(node: NonNull<T>) -> u64 {
    (node.as_ptr().expose_provenance() + T::LINK) as u64
}

/// The node of a link.
#[inline(always)]
pub(super) fn node_of<T: Linked>(link: u64) -> NonNull<T> {
    let node = core::ptr::with_exposed_provenance_mut(link as usize - T::LINK);
    // SAFETY: links of nodes that were pushed, none of which lies at 0.
    unsafe { NonNull::new_unchecked(node) }
}

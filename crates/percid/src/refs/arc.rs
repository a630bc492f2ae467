//! An object whose references are counted by cid.

use core::borrow::Borrow;
use core::fmt;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};
use core::ops::Deref;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering, fence};
use std::process::abort;
use std::sync::Arc;

use super::core::Core;
use crate::arena::Gate;

/// What stands before every counted object.
struct Header {
    core: Core<Gate>,
    /// Weak references, and one for all references together.
    weaks: AtomicUsize,
    form: &'static Form,
}

/// What to do with an object whose type is not known any more.
struct Form {
    /// Drops the object and leaves its memory.
    release: unsafe fn(NonNull<Header>),
    /// Frees the memory.
    free: unsafe fn(NonNull<Header>),
}

/// An allocation: what is held is the object itself, or an `Arc` of it.
#[repr(C)]
struct Block<H> {
    header: Header,
    held: ManuallyDrop<H>,
}

impl<H> Block<H> {
    const FORM: Form = Form {
        release: |header| {
            let block = header.cast::<Block<H>>().as_ptr();
            // SAFETY: the header is the first field of a block of this type, and the
            // pointer is one to the whole of it. The caller was the last to use the object.
            unsafe { ManuallyDrop::drop(&mut (*block).held) };
        },
        free: |header| {
            let block = header.cast::<Block<H>>().as_ptr();
            // SAFETY: as above, and it came from a box. The object has been dropped, and
            // the caller was the last to use the rest.
            drop(unsafe { Box::from_raw(block) });
        },
    };

    /// One reference, its owner's.
    fn allocate(held: H) -> NonNull<Block<H>> {
        let block = Box::new(Block {
            header: Header {
                core: Core::new(Gate::new()),
                weaks: AtomicUsize::new(1),
                form: &Self::FORM,
            },
            held: ManuallyDrop::new(held),
        });
        NonNull::from(Box::leak(block))
    }
}

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
pub struct Owner<T: ?Sized> {
    value: NonNull<T>,
    header: NonNull<Header>,
    owns: PhantomData<T>,
}

/// A reference to an object, counted by cid.
///
/// Cloned and dropped without an atomic read-modify-write, on any number of threads.
///
/// ```
/// use percid::{Owner, PercidArc};
///
/// let owner = Owner::new(String::from("shared"));
/// let one: PercidArc<String> = owner.share();
/// let other = one.clone();
/// let weak = one.downgrade();
/// drop(owner);
/// assert_eq!(*other, "shared");
/// drop((one, other));
/// assert!(weak.upgrade().is_none());
/// ```
///
/// # Cost
///
/// A clone or a drop is one section and one test for [`immortal`](PercidArc::immortal)
/// objects; once the owner has gone, one read-modify-write. Two words in place. A
/// dereference is one load.
///
/// # Slips that do not compile
///
/// Wherever references may be refused they come in an `Option`, which must be opened:
/// a test that was turned round has nothing to go on with.
///
/// ```compile_fail,E0308
/// let owner = percid::Owner::new(7);
/// let weak = owner.downgrade();
/// if !weak.upgrade() {
///     println!("{}", 7);
/// }
/// ```
///
/// ```
/// # let owner = percid::Owner::new(7);
/// # let weak = owner.downgrade();
/// if let Some(seven) = weak.upgrade() {
///     println!("{}", *seven);
/// }
/// ```
///
/// What is not taken is not held, and is said so.
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// let owner = percid::Owner::new(7);
/// owner.downgrade().upgrade();
/// ```
///
/// ```
/// # #![deny(unused_must_use)]
/// # let owner = percid::Owner::new(7);
/// let _held = owner.downgrade().upgrade();
/// ```
///
/// There is no other way to begin than an owner, so none is left behind uninitialised or
/// with a count of its own; and no way to kill than its drop, which nobody has to call.
/// After it the name is gone.
///
/// ```compile_fail,E0382
/// let owner = percid::Owner::new(7);
/// drop(owner);
/// let late = owner.share();
/// ```
///
/// ```
/// # let owner = percid::Owner::new(7);
/// let early = owner.share();
/// drop(owner);
/// # assert_eq!(*early, 7);
/// ```
pub struct PercidArc<T: ?Sized> {
    value: NonNull<T>,
    /// None: an immortal object, which nobody counts.
    header: Option<NonNull<Header>>,
    owns: PhantomData<T>,
}

/// A reference that does not keep its object.
///
/// [`upgrade`](PercidWeak::upgrade) and [`upgrade_live`](PercidWeak::upgrade_live) are
/// sections while the owner is there. The weak references themselves are counted by
/// atomics: clone them rarely.
pub struct PercidWeak<T: ?Sized> {
    value: NonNull<T>,
    header: Option<NonNull<Header>>,
    owns: PhantomData<T>,
}

// SAFETY: an owner or a reference gives `&T` to whatever thread has it, and the last one to
// go drops the object there: it takes what `Arc` takes. What it counts by is atomic.
unsafe impl<T: ?Sized + Send + Sync> Send for Owner<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Owner<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Send for PercidArc<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for PercidArc<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Send for PercidWeak<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for PercidWeak<T> {}

impl<T> Owner<T> {
    /// An object of its own.
    pub fn new(value: T) -> Owner<T> {
        let block = Block::allocate(value);
        // SAFETY: a field of a fresh block; `ManuallyDrop` is transparent.
        let value = unsafe { NonNull::new_unchecked(&raw mut (*block.as_ptr()).held) };
        Owner {
            value: value.cast(),
            header: block.cast(),
            owns: PhantomData,
        }
    }
}

impl<T: ?Sized> Owner<T> {
    /// A reference to the object.
    #[inline]
    #[must_use = "a reference that is dropped at once holds nothing"]
    pub fn share(&self) -> PercidArc<T> {
        // SAFETY: the owner's own reference keeps the block.
        unsafe { core_of(self.header) }.get();
        PercidArc {
            value: self.value,
            header: Some(self.header),
            owns: PhantomData,
        }
    }

    /// A reference that does not keep the object.
    #[must_use = "a reference that is dropped at once leads nowhere"]
    pub fn downgrade(&self) -> PercidWeak<T> {
        // SAFETY: the owner's own reference keeps the block.
        unsafe { weak_to(self.value, Some(self.header)) }
    }
}

/// The object stays in the `Arc`, whose other references keep it as before.
impl<T: ?Sized> From<Arc<T>> for Owner<T> {
    fn from(object: Arc<T>) -> Owner<T> {
        let value = Arc::as_ptr(&object).cast_mut();
        Owner {
            // SAFETY: an `Arc` points to its object, which is no less than somewhere.
            value: unsafe { NonNull::new_unchecked(value) },
            header: Block::allocate(object).cast(),
            owns: PhantomData,
        }
    }
}

impl<T: ?Sized> Deref for Owner<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the owner's own reference keeps the object, which is only ever shared.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Drop for Owner<T> {
    fn drop(&mut self) {
        // SAFETY: the owner's own reference keeps the block, and is put only below.
        if unsafe { core_of(self.header) }.kill().is_ok() {
            drop(PercidArc {
                value: self.value,
                header: Some(self.header),
                owns: PhantomData,
            });
        }
    }
}

impl<T: ?Sized> PercidArc<T> {
    /// A reference to a static object, which is never counted and never goes.
    ///
    /// ```
    /// use percid::{Owner, PercidArc};
    ///
    /// static DEFAULT: [u8; 2] = [4, 2];
    ///
    /// fn policy(own: Option<&Owner<[u8; 2]>>) -> PercidArc<[u8; 2]> {
    ///     own.map_or(PercidArc::immortal(&DEFAULT), Owner::share)
    /// }
    /// assert_eq!(*policy(None), [4, 2]);
    /// assert_eq!(*policy(Some(&Owner::new([1, 1]))), [1, 1]);
    /// ```
    #[must_use]
    pub const fn immortal(value: &'static T) -> PercidArc<T> {
        PercidArc {
            // SAFETY: a reference is not null.
            value: unsafe { NonNull::new_unchecked(ptr::from_ref(value).cast_mut()) },
            header: None,
            owns: PhantomData,
        }
    }

    /// Whether the object is never counted and never goes.
    #[must_use]
    pub const fn is_immortal(&self) -> bool {
        self.header.is_none()
    }

    /// Whether the object's owner is still there.
    #[must_use]
    pub fn is_live(&self) -> bool {
        // SAFETY: this reference keeps the block.
        self.header
            .is_none_or(|header| !unsafe { core_of(header) }.is_dying())
    }

    /// A reference that does not keep the object.
    #[must_use = "a reference that is dropped at once leads nowhere"]
    pub fn downgrade(&self) -> PercidWeak<T> {
        // SAFETY: this reference keeps the block.
        unsafe { weak_to(self.value, self.header) }
    }

    /// Whether both refer to the same object.
    #[must_use]
    pub fn ptr_eq(&self, other: &PercidArc<T>) -> bool {
        ptr::addr_eq(self.value.as_ptr(), other.value.as_ptr())
    }
}

impl<T: ?Sized> Clone for PercidArc<T> {
    #[inline]
    fn clone(&self) -> PercidArc<T> {
        if let Some(header) = self.header {
            // SAFETY: this reference keeps the block.
            unsafe { core_of(header) }.get();
        }
        PercidArc {
            value: self.value,
            header: self.header,
            owns: PhantomData,
        }
    }
}

impl<T: ?Sized> Deref for PercidArc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this reference keeps the object, which is only ever shared.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Drop for PercidArc<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(header) = self.header {
            // SAFETY: this reference keeps the block until it is put; and if it was the
            // last one, nobody else gets another.
            unsafe {
                if core_of(header).put() {
                    release(header);
                }
            }
        }
    }
}

impl<T: ?Sized> PercidWeak<T> {
    /// A reference to the object, unless the last one has gone.
    #[inline]
    #[must_use = "without the reference that is returned nothing is held"]
    pub fn upgrade(&self) -> Option<PercidArc<T>> {
        self.upgrade_if(Core::try_get)
    }

    /// A reference to the object, unless its owner has gone.
    ///
    /// So nobody new comes to an object that is about to go. Once the owner's drop has
    /// returned this is always `None`.
    #[inline]
    #[must_use = "without the reference that is returned nothing is held"]
    pub fn upgrade_live(&self) -> Option<PercidArc<T>> {
        self.upgrade_if(Core::try_get_live)
    }

    #[inline(always)]
    fn upgrade_if(&self, get: impl FnOnce(&Core<Gate>) -> bool) -> Option<PercidArc<T>> {
        // SAFETY: this weak reference keeps the block, if not the object.
        let got = self
            .header
            .is_none_or(|header| get(unsafe { core_of(header) }));
        // Made only if it was got: its drop puts.
        got.then(|| PercidArc {
            value: self.value,
            header: self.header,
            owns: PhantomData,
        })
    }
}

impl<T: ?Sized> Clone for PercidWeak<T> {
    fn clone(&self) -> PercidWeak<T> {
        // SAFETY: this weak reference keeps the block.
        unsafe { weak_to(self.value, self.header) }
    }
}

impl<T: ?Sized> Drop for PercidWeak<T> {
    fn drop(&mut self) {
        if let Some(header) = self.header {
            // SAFETY: this weak reference keeps the block until here.
            unsafe { give_back_weak(header) };
        }
    }
}

/// The count of a block. A reference to the count alone: all of it is atomic, so it may
/// outlive the block by the end of a `put`, as the counts of `Arc` do.
///
/// # Safety
///
/// The block is allocated, until the last access through what is returned.
#[inline(always)]
unsafe fn core_of<'a>(header: NonNull<Header>) -> &'a Core<Gate> {
    // SAFETY: the caller's contract.
    unsafe { &(*header.as_ptr()).core }
}

/// # Safety
///
/// The block, if there is one, is allocated.
unsafe fn weak_to<T: ?Sized>(value: NonNull<T>, header: Option<NonNull<Header>>) -> PercidWeak<T> {
    if let Some(header) = header {
        // SAFETY: the caller's contract.
        let weaks = unsafe { &(*header.as_ptr()).weaks };
        // Ordering: Relaxed. The caller has one already, or a reference.
        if weaks.fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
            abort();
        }
    }
    PercidWeak {
        value,
        header,
        owns: PhantomData,
    }
}

/// Drops the object, and then the weak reference that all references had together: also
/// when the object's drop panics.
///
/// # Safety
///
/// The last reference has gone, and this is its holder.
#[cold]
#[inline(never)]
unsafe fn release(header: NonNull<Header>) {
    struct Last(NonNull<Header>);
    impl Drop for Last {
        fn drop(&mut self) {
            // SAFETY: the weak reference of all references, given back once.
            unsafe { give_back_weak(self.0) };
        }
    }
    let _last = Last(header);
    // SAFETY: the weak reference above keeps the block; the object is dropped once, for
    // the last reference goes once.
    unsafe { ((*header.as_ptr()).form.release)(header) };
}

/// # Safety
///
/// The caller has a weak reference, and gives it back.
unsafe fn give_back_weak(header: NonNull<Header>) {
    // SAFETY: a weak reference keeps the block.
    let weaks = unsafe { &(*header.as_ptr()).weaks };
    // Ordering: Release pairs with the fence: what others did with the block comes before
    // it is freed.
    if weaks.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        // SAFETY: that was the last one. The count is in the atomic mode since its kill,
        // so no section looks at its gate that has not committed.
        unsafe { ((*header.as_ptr()).form.free)(header) };
    }
}

macro_rules! reads_as_its_object {
    ($($type:ident),*) => {$(
        impl<T: ?Sized> AsRef<T> for $type<T> {
            fn as_ref(&self) -> &T {
                self
            }
        }

        impl<T: ?Sized> Borrow<T> for $type<T> {
            fn borrow(&self) -> &T {
                self
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $type<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Display> fmt::Display for $type<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    )*};
}

reads_as_its_object!(Owner, PercidArc);

impl<T: ?Sized> fmt::Debug for PercidWeak<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(PercidWeak)")
    }
}

const _: () = assert!(mem::size_of::<Header>() == 40);

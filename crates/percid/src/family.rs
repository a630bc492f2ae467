//! Metrics by labels.
//!
//! # Algorithm
//!
//! A trie by the bits of the labels' hash, two bits a level. Nodes are only ever added,
//! each by one compare-exchange of an empty link, and never move; so looking one up takes
//! no lock, and what was found stays where it is for as long as the family lives.
//!
//! Source: C. Wellons, "Hash-tries".

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::hash::{BuildHasher, DefaultHasher, RandomState};
use std::sync::RwLock;

/// Metrics of one kind, one for each set of labels.
///
/// ```
/// use percid::{Counter, Family};
///
/// static RESPONSES: Family<(&str, u16), Counter> = Family::new();
///
/// RESPONSES.get_or_create(&("GET", 200)).add(3);
/// RESPONSES.get_or_create(&("GET", 404)).inc();
/// RESPONSES.get_or_create(&("GET", 200)).inc();
///
/// let total: u64 = RESPONSES.iter().map(|(_, counter)| counter.sum()).sum();
/// assert_eq!(total, 5);
/// assert_eq!(RESPONSES.get(&("GET", 200)).unwrap().sum(), 4);
/// ```
///
/// # Cost
///
/// A lookup hashes the labels and follows a few links; keep the reference where one set
/// of labels is used again and again. A set of labels takes the labels, the metric and
/// 40 bytes; the metric's words are as without labels.
///
/// # Shapes and units
///
/// The same labels are the same metric, whoever asks first. Nothing is removed before the
/// family goes: labels that an outsider chooses freely fill the memory.
///
/// # Panics
///
/// If making the metric does.
///
/// # Fork and signals
///
/// No lock is taken, so a child of `fork` may use it at any time. Finding labels that are
/// there may be done in a signal handler, new ones allocate.
pub struct Family<L, M, C = fn() -> M> {
    root: Link<L, M>,
    make: C,
    /// Labels and metrics are made by one thread, used by others and dropped by any:
    /// what a lock asks of them.
    owns: PhantomData<RwLock<(L, M)>>,
}

type Link<L, M> = AtomicPtr<Node<L, M>>;

struct Node<L, M> {
    hash: u64,
    labels: L,
    metric: M,
    /// By the next two bits of the hash.
    next: [Link<L, M>; 4],
}

impl<L, M: Default> Family<L, M> {
    /// A family whose metrics are made by `Default`, for a `static` or anywhere else.
    #[must_use]
    pub const fn new() -> Family<L, M> {
        Family::with(M::default)
    }
}

impl<L, M, C> Family<L, M, C> {
    /// A family whose metrics are made by `make`.
    ///
    /// ```
    /// use percid::{Counter, Domain, Family};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = Domain::builder().build()?;
    /// let jobs = Family::with(move || Counter::in_domain(&pool).expect("room for a counter"));
    /// jobs.get_or_create(&"parse").inc();
    /// # Ok(())
    /// # }
    /// ```
    pub const fn with(make: C) -> Family<L, M, C> {
        Family {
            root: AtomicPtr::new(ptr::null_mut()),
            make,
            owns: PhantomData,
        }
    }

    /// All labels with their metrics, in no order. What is made meanwhile is seen or not.
    pub fn iter(&self) -> FamilyIter<'_, L, M> {
        FamilyIter {
            links: vec![&self.root],
        }
    }

    /// How many sets of labels there are. Counts them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        node(&self.root).is_none()
    }
}

/// The node that a link leads to.
// Ordering: Acquire pairs with the Release in `get_or_create`: who sees the node sees what
// is in it.
fn node<L, M>(link: &Link<L, M>) -> Option<&Node<L, M>> {
    // SAFETY: links are null or lead to nodes that live as long as the family, which the
    // link is part of; nobody changes them but by their own atomics.
    unsafe { link.load(Ordering::Acquire).as_ref() }
}

/// Where labels are, or the empty link where they belong.
fn find<'a, L: Eq, M>(
    mut link: &'a Link<L, M>,
    mut bits: u64,
    hash: u64,
    labels: &L,
) -> Result<&'a M, (&'a Link<L, M>, u64)> {
    while let Some(node) = node(link) {
        if node.hash == hash && node.labels == *labels {
            return Ok(&node.metric);
        }
        link = &node.next[(bits >> 62) as usize];
        bits <<= 2;
    }
    Err((link, bits))
}

impl<L: Hash + Eq, M, C> Family<L, M, C> {
    /// The metric of these labels, if there is one.
    #[must_use]
    pub fn get(&self, labels: &L) -> Option<&M> {
        let hash = hash(labels);
        find(&self.root, hash, hash, labels).ok()
    }
}

impl<L: Hash + Eq + Clone, M, C: Fn() -> M> Family<L, M, C> {
    /// The metric of these labels, made if there is none.
    pub fn get_or_create(&self, labels: &L) -> &M {
        let hash = hash(labels);
        match find(&self.root, hash, hash, labels) {
            Ok(metric) => metric,
            Err((link, bits)) => self.create(link, bits, hash, labels),
        }
    }

    #[cold]
    fn create<'a>(
        &'a self,
        mut link: &'a Link<L, M>,
        mut bits: u64,
        hash: u64,
        labels: &L,
    ) -> &'a M {
        let mut mine = Box::new(Node {
            hash,
            labels: labels.clone(),
            metric: (self.make)(),
            next: [const { AtomicPtr::new(ptr::null_mut()) }; 4],
        });
        loop {
            let raw = Box::into_raw(mine);
            // Ordering: Release pairs with the Acquire in `node`. A failure is looked at
            // by `find`, which acquires.
            let added =
                link.compare_exchange(ptr::null_mut(), raw, Ordering::Release, Ordering::Relaxed);
            if added.is_ok() {
                // SAFETY: made above; it lives as long as the family from now on.
                return unsafe { &(*raw).metric };
            }
            // SAFETY: made above, and nobody has seen it.
            mine = unsafe { Box::from_raw(raw) };
            // Somebody else was faster here, perhaps with the same labels.
            match find(link, bits, hash, labels) {
                Ok(metric) => return metric,
                Err(further) => (link, bits) = further,
            }
        }
    }
}

/// A hash that nobody outside can foresee, the same for the life of the process.
fn hash<L: Hash>(labels: &L) -> u64 {
    static SEED: AtomicU64 = AtomicU64::new(0);
    // Ordering: Relaxed. The seed is the number itself; the first one stands.
    let seed = match SEED.load(Ordering::Relaxed) {
        0 => {
            let mine = RandomState::new().build_hasher().finish() | 1;
            match SEED.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => mine,
                Err(first) => first,
            }
        }
        seed => seed,
    };
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed);
    labels.hash(&mut hasher);
    hasher.finish()
}

/// What [`Family::iter`] returns.
pub struct FamilyIter<'a, L, M> {
    /// Links that have not been followed.
    links: Vec<&'a Link<L, M>>,
}

impl<'a, L, M> Iterator for FamilyIter<'a, L, M> {
    type Item = (&'a L, &'a M);

    fn next(&mut self) -> Option<(&'a L, &'a M)> {
        while let Some(link) = self.links.pop() {
            if let Some(node) = node(link) {
                self.links.extend(&node.next);
                return Some((&node.labels, &node.metric));
            }
        }
        None
    }
}

impl<'a, L, M, C> IntoIterator for &'a Family<L, M, C> {
    type Item = (&'a L, &'a M);
    type IntoIter = FamilyIter<'a, L, M>;

    fn into_iter(self) -> FamilyIter<'a, L, M> {
        self.iter()
    }
}

impl<L, M, C> Drop for Family<L, M, C> {
    fn drop(&mut self) {
        let mut links = vec![core::mem::take(self.root.get_mut())];
        while let Some(link) = links.pop() {
            if !link.is_null() {
                // SAFETY: made by `Box::into_raw`; whoever drops the family is alone with
                // its nodes, and each has one link to it.
                let mut node = unsafe { Box::from_raw(link) };
                links.extend(node.next.iter_mut().map(|link| *link.get_mut()));
            }
        }
    }
}

impl<L, M: Default> Default for Family<L, M> {
    fn default() -> Family<L, M> {
        Family::new()
    }
}

impl<L: fmt::Debug, M: fmt::Debug, C> fmt::Debug for Family<L, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<L, M> fmt::Debug for FamilyIter<'_, L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FamilyIter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Labels that all have the same hash.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Same(u32);

    impl Hash for Same {
        fn hash<H: Hasher>(&self, _: &mut H) {}
    }

    #[test]
    fn labels_whose_hashes_collide_stay_apart() {
        let family: Family<Same, AtomicUsize> = Family::new();
        for round in 0..2 {
            for label in 0..100 {
                family
                    .get_or_create(&Same(label))
                    .fetch_add(1, Ordering::Relaxed);
            }
            assert_eq!(family.len(), 100, "{round}");
        }
        assert!(
            family
                .iter()
                .all(|(_, one)| one.load(Ordering::Relaxed) == 2)
        );
        assert!(family.get(&Same(100)).is_none());
    }

    #[test]
    fn racing_threads_get_the_same_metric() {
        const LABELS: u32 = 200;
        const THREADS: usize = 8;
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let dropped = Arc::new(());
        let family = Family::with(|| {
            MADE.fetch_add(1, Ordering::Relaxed);
            (AtomicUsize::new(0), Arc::clone(&dropped))
        });
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for label in 0..LABELS {
                        family
                            .get_or_create(&label)
                            .0
                            .fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let seen: HashMap<u32, usize> = family
            .iter()
            .map(|(&label, one)| (label, one.0.load(Ordering::Relaxed)))
            .collect();
        assert_eq!(seen.len(), LABELS as usize);
        assert!(seen.values().all(|&count| count == THREADS));
        assert!(MADE.load(Ordering::Relaxed) >= LABELS as usize);
        // What lost a race is gone already, and the rest goes with the family.
        assert_eq!(Arc::strong_count(&dropped), 1 + LABELS as usize);
        drop(family);
        assert_eq!(Arc::strong_count(&dropped), 1);
    }

    #[test]
    fn a_family_is_shared_as_its_metrics_allow() {
        fn is_sync<T: Send + Sync>() {}
        is_sync::<Family<String, AtomicUsize>>();
        assert!(Family::<u8, AtomicUsize>::new().is_empty());
    }
}

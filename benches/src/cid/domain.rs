//! Counters in domains.

use std::marker::PhantomData;

use percid::{Bound, Counter, Domain, Joined, Source, backend};

use crate::Error;
use crate::counter::add::Adding;

/// Why this suite cannot run here, if it cannot.
pub(super) fn available() -> Result<(), String> {
    let domain = Domain::builder().build().map_err(|why| why.to_string())?;
    match (backend().source, domain.source()) {
        (Source::MmCid, Source::Table) => Ok(()),
        _ => Err(format!(
            "there are no two kinds of ids here: {}",
            backend().reason
        )),
    }
}

/// A domain with this bound.
pub(super) trait Kind: Sync + 'static {
    const NAME: &'static str;
    const BOUND: Bound;
}

pub(super) struct IsRelaxed;
pub(super) struct IsStrict;

impl Kind for IsRelaxed {
    const NAME: &'static str = "percid:domain";
    const BOUND: Bound = Bound::Relaxed;
}

impl Kind for IsStrict {
    const NAME: &'static str = "percid:strict";
    const BOUND: Bound = Bound::Strict;
}

pub(super) type Relaxed = InDomain<IsRelaxed>;
pub(super) type Strict = InDomain<IsStrict>;

pub(super) struct InDomain<K> {
    domain: Domain,
    eight: [Counter<Domain>; 8],
    kind: PhantomData<K>,
}

thread_local! {
    /// The thread's membership of the domain that it adds in.
    static JOINED: std::cell::RefCell<Option<Joined>> = const { std::cell::RefCell::new(None) };
}

impl<K: Kind> Adding for InDomain<K> {
    const NAME: &'static str = K::NAME;

    type Way<'a> = &'a [Counter<Domain>; 8];

    fn new(_: usize) -> Result<InDomain<K>, Error> {
        let failed = |why: &dyn std::fmt::Display| Error::Domain {
            implementation: K::NAME,
            why: why.to_string(),
        };
        let domain = Domain::builder()
            .bound(K::BOUND)
            .build()
            .map_err(|why| failed(&why))?;
        let counters: Result<Vec<_>, _> = (0..8).map(|_| Counter::in_domain(&domain)).collect();
        let Ok(eight) = counters.map_err(|why| failed(&why))?.try_into() else {
            unreachable!("eight were made");
        };
        Ok(InDomain {
            domain,
            eight,
            kind: PhantomData,
        })
    }

    fn reset(&self) {
        self.eight.iter().for_each(|counter| _ = counter.take());
    }

    fn way(&self, _: usize) -> &[Counter<Domain>; 8] {
        JOINED.set(Some(self.domain.join()));
        &self.eight
    }

    #[inline(always)]
    fn add<const WHICH: usize>(way: &[Counter<Domain>; 8]) {
        way[WHICH].inc();
    }

    fn bring(&self, _: usize) {
        drop(JOINED.take());
    }

    fn total(&self, which: usize) -> u64 {
        self.eight[which].sum()
    }
}

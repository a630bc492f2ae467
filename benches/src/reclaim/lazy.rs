//! percid's lazy references.

use percid_shootdown::lazy::{LazyCell, Shared};

use super::Reclaiming;
use crate::Error;

pub(crate) struct Lazy<T: Send + Sync + 'static>(LazyCell<T>);

impl<T: Send + Sync + 'static> Reclaiming<T> for Lazy<T> {
    const NAME: &'static str = "percid:lazy";

    type Reader<'a> = &'a LazyCell<T>;

    fn new(first: T) -> Result<Self, Error> {
        Ok(Lazy(LazyCell::new(first)))
    }

    fn reader(&self) -> &LazyCell<T> {
        &self.0
    }

    #[inline(always)]
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R {
        read(&reader.load())
    }

    #[inline]
    fn replace(&self, new: T) {
        self.0.store(Shared::new(new));
    }
}

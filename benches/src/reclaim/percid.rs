//! percid's sections.

use percid_shootdown::{Atomic, Brand, brand};

use super::Reclaiming;
use crate::Error;

brand! {
    /// The domain of the measurements.
    pub(crate) struct Measured;
}

pub(crate) struct Sections<T: Send + Sync + 'static>(Atomic<T, Measured>);

impl<T: Send + Sync + 'static> Reclaiming<T> for Sections<T> {
    const NAME: &'static str = "percid:sections";

    type Reader<'a> = &'a Atomic<T, Measured>;

    fn new(first: T) -> Result<Self, Error> {
        Ok(Sections(Atomic::new(first)))
    }

    fn reader(&self) -> &Atomic<T, Measured> {
        &self.0
    }

    #[inline(always)]
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&T) -> R) -> R {
        let guard = Measured::enter();
        read(reader.load(&guard).as_ref().expect("there always is one"))
    }

    #[inline]
    fn replace(&self, new: T) {
        self.0.replace(Some(new));
    }
}

impl<T: Send + Sync + 'static> Drop for Sections<T> {
    fn drop(&mut self) {
        self.0.replace(None);
    }
}

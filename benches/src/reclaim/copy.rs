//! percid's cell of copies.

use percid_shootdown::CopyCell;

use super::Reclaiming;
use crate::Error;

pub(crate) struct Copied(CopyCell<u64>);

impl Reclaiming<u64> for Copied {
    const NAME: &'static str = "percid:copy";

    type Reader<'a> = &'a CopyCell<u64>;

    fn new(first: u64) -> Result<Self, Error> {
        Ok(Copied(CopyCell::new(first)))
    }

    fn reader(&self) -> &CopyCell<u64> {
        &self.0
    }

    #[inline(always)]
    fn read<R>(reader: &mut Self::Reader<'_>, read: impl FnOnce(&u64) -> R) -> R {
        read(&reader.read())
    }

    fn replace(&self, new: u64) {
        self.0.replace(new);
    }
}

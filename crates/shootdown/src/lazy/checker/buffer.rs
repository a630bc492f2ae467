//! Stores that wait in the buffers of CPUs, as on x86.

/// The words of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Field {
    Active,
    Pointer,
}

/// Plain stores that others do not see yet; the oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Buffer {
    pub(super) stores: [Option<(u8, u8, u8)>; 4],
}

impl Buffer {
    pub(super) fn newest(&self, slot: u8, field: Field) -> Option<u8> {
        let mut stores = self.stores.iter().rev().flatten();
        let found = stores.find(|store| store.0 == slot && store.1 == field as u8);
        found.map(|store| store.2)
    }

    pub(super) fn is_full(&self) -> bool {
        self.stores.iter().all(Option::is_some)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stores[0].is_none()
    }

    pub(super) fn push(&mut self, slot: u8, field: Field, value: u8) {
        let place = self.stores.iter_mut().find(|place| place.is_none());
        *place.expect("room in the buffer") = Some((slot, field as u8, value));
    }

    pub(super) fn pop(&mut self) -> Option<(u8, u8, u8)> {
        let oldest = self.stores[0].take();
        self.stores.rotate_left(1);
        oldest
    }
}

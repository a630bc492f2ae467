//! What stands where in the file, and how a file is recognised.
//!
//! ```text
//! 0          header: magic, version, layout; then zeros
//! NAMES      an entry for each counter: length of its name, the name
//! STRIPES    a stripe for each CPU: changed by sections
//!            stripes for who cannot run sections: changed by read-modify-writes
//! ```
//!
//! Word `i` of every stripe belongs to counter `i`. All numbers are in the byte order of
//! the machine; a file of the other order has another magic.

use super::FileError;

/// Bytes that open the file, as one number: "percidct" where that is read backwards.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"percidct");

/// The version that this crate writes, and the highest that it reads.
pub(super) const VERSION: u32 = 1;

/// log2 of a stripe's bytes.
pub(super) const SHIFT: u32 = 16;

/// Counters that a file has room for.
pub const COUNTERS: usize = 1 << (SHIFT - 3);

/// Bytes that a name may have.
pub const NAME_BYTES: usize = ENTRY_WORDS * 8 - 8;

/// Words of an entry: the length of the name, which is 0 until it is valid, and the
/// name.
pub(super) const ENTRY_WORDS: usize = 8;

/// Where the entries start; before them is the header.
pub(super) const NAMES: usize = 1 << SHIFT;

/// Where the stripes start.
pub(super) const STRIPES: usize = NAMES + (COUNTERS * ENTRY_WORDS * 8).next_multiple_of(1 << SHIFT);

/// Stripes for who cannot run sections, so that they do not all meet on one line.
pub(super) const BY_ATOMICS: u32 = 8;

/// CPUs that a header may speak of; more are a damaged header.
const MOST_CPUS: u32 = 1 << 16;

/// Bytes of the header that are read to recognise a file.
pub(super) const HEADER_BYTES: usize = 32;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Stripes by CPU.
    pub(super) cpus: u32,
    /// Stripes for who cannot run sections.
    pub(super) by_atomics: u32,
}

/// Which stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stripe {
    Cpu(u32),
    ByAtomics(u32),
}

impl Layout {
    /// For so many CPUs.
    pub(super) fn new(cpus: u32) -> Layout {
        Layout {
            cpus: cpus.clamp(1, MOST_CPUS),
            by_atomics: BY_ATOMICS,
        }
    }

    /// Bytes of the whole file.
    pub(super) fn bytes(self) -> usize {
        self.place(Stripe::ByAtomics(self.by_atomics))
    }

    /// Where a stripe starts.
    pub(super) fn place(self, stripe: Stripe) -> usize {
        let number = match stripe {
            Stripe::Cpu(cpu) => cpu,
            Stripe::ByAtomics(number) => self.cpus + number,
        };
        STRIPES + ((number as usize) << SHIFT)
    }

    /// Every stripe.
    pub(super) fn stripes(self) -> impl Iterator<Item = Stripe> {
        let cpus = (0..self.cpus).map(Stripe::Cpu);
        cpus.chain((0..self.by_atomics).map(Stripe::ByAtomics))
    }

    /// What the file starts with.
    pub(super) fn header(self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC.to_ne_bytes());
        let fields = [
            VERSION,
            SHIFT,
            ENTRY_WORDS as u32,
            self.cpus,
            self.by_atomics,
            0,
        ];
        for (place, field) in header[8..].chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_ne_bytes());
        }
        header
    }

    /// What a file with this start, of so many bytes, is.
    ///
    /// # Errors
    ///
    /// If it is nothing that can be mapped.
    pub(super) fn of(start: &[u8], length: u64) -> Result<Layout, FileError> {
        let Some((magic, fields)) = start.split_first_chunk::<8>() else {
            return Err(FileError::Foreign);
        };
        match u64::from_ne_bytes(*magic) {
            MAGIC => {}
            other if other == MAGIC.swap_bytes() => return Err(FileError::ByteOrder),
            _ => return Err(FileError::Foreign),
        }
        let field = |number: usize| {
            let bytes = fields.get(4 * number..4 * number + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let truncated = |expected: u64| FileError::Truncated { length, expected };
        let whole = HEADER_BYTES as u64;
        let version = field(0).ok_or(truncated(whole))?;
        if version > VERSION {
            return Err(FileError::Newer {
                version,
                known: VERSION,
            });
        }
        let (Some(shift), Some(entry), Some(cpus), Some(by_atomics)) =
            (field(1), field(2), field(3), field(4))
        else {
            return Err(truncated(whole));
        };
        let is_known = version == VERSION
            && (shift, entry) == (SHIFT, ENTRY_WORDS as u32)
            && (1..=MOST_CPUS).contains(&cpus)
            && (1..=MOST_CPUS).contains(&by_atomics);
        if !is_known {
            return Err(FileError::Damaged);
        }
        let layout = Layout { cpus, by_atomics };
        if length < layout.bytes() as u64 {
            return Err(truncated(layout.bytes() as u64));
        }
        Ok(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives() {
        for cpus in [1, 2, 512, MOST_CPUS] {
            let layout = Layout::new(cpus);
            let length = layout.bytes() as u64;
            assert_eq!(Layout::of(&layout.header(), length), Ok(layout));
            assert_eq!(Layout::of(&layout.header(), length + 1), Ok(layout));
            assert_eq!(
                Layout::of(&layout.header(), length - 1),
                Err(FileError::Truncated {
                    length: length - 1,
                    expected: length
                })
            );
        }
        assert_eq!(Layout::new(0).cpus, 1);
    }

    #[test]
    fn whatever_a_file_starts_with_is_judged() {
        let good = Layout::new(2).header();
        let of = |header: &[u8]| Layout::of(header, u64::MAX).unwrap_err();
        assert_eq!(of(b""), FileError::Foreign);
        assert_eq!(of(b"percid"), FileError::Foreign);
        assert_eq!(of(&[0; HEADER_BYTES]), FileError::Foreign);
        assert_eq!(
            of(b"#!/bin/sh\necho this is something else\n"),
            FileError::Foreign
        );
        assert!(matches!(of(&good[..8]), FileError::Truncated { .. }));
        assert!(matches!(of(&good[..20]), FileError::Truncated { .. }));
        let mut other = good;
        other[..8].reverse();
        assert_eq!(of(&other), FileError::ByteOrder);
        let with = |number: usize, value: u32| {
            let mut header = good;
            header[8 + 4 * number..][..4].copy_from_slice(&value.to_ne_bytes());
            of(&header)
        };
        assert_eq!(
            with(0, 2),
            FileError::Newer {
                version: 2,
                known: 1
            }
        );
        assert_eq!(with(0, 0), FileError::Damaged);
        for (number, values) in [
            (1, [0, 15]),
            (2, [0, 9]),
            (3, [0, MOST_CPUS + 1]),
            (4, [0, u32::MAX]),
        ] {
            for value in values {
                assert_eq!(with(number, value), FileError::Damaged, "{number}: {value}");
            }
        }
    }

    #[test]
    fn nothing_overlaps() {
        let layout = Layout::new(3);
        let places: Vec<usize> = layout
            .stripes()
            .map(|stripe| layout.place(stripe))
            .collect();
        assert_eq!(places.len(), 3 + BY_ATOMICS as usize);
        assert!(places.windows(2).all(|two| two[1] - two[0] == COUNTERS * 8));
        assert!(places[0] >= NAMES + COUNTERS * ENTRY_WORDS * 8);
        assert!(places.iter().all(|place| place.is_multiple_of(1 << SHIFT)));
    }
}

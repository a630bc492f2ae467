//! Where debuggers must not stop, as the linker kept it.
//!
//! Each section is listed in `__rseq_cs_ptr_array`. A debugger that single-steps finds
//! its end there and stops after it; inside, every stop would abort it again.

use std::fs;

/// Sections that are listed in this program; `None` if that cannot be read.
pub(super) fn of_this_program() -> Option<usize> {
    listed(&fs::read("/proc/self/exe").ok()?)
}

/// Sections that are listed in an ELF file of 64 bits, least byte first.
fn listed(file: &[u8]) -> Option<usize> {
    const POINTER: u64 = 8;
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = number::<8>(file, 0x28)?;
    let size = number::<2>(file, 0x3a)?;
    let count = number::<2>(file, 0x3c)?;
    let header = |index: u64| table.checked_add(index * size);
    let names = number::<8>(file, header(number::<2>(file, 0x3e)?)? + 0x18)?;
    for index in 0..count {
        let header = header(index)?;
        let name = names.checked_add(number::<4>(file, header)?)?;
        let name = file.get(usize::try_from(name).ok()?..)?;
        if name.starts_with(b"__rseq_cs_ptr_array\0") {
            return usize::try_from(number::<8>(file, header + 0x20)? / POINTER).ok();
        }
    }
    (count > 0).then_some(0)
}

/// The number of `N` bytes at a place in the file.
fn number<const N: usize>(file: &[u8], at: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let bytes = file.get(at..)?.get(..N)?;
    Some(
        bytes
            .iter()
            .rfold(0, |number, &byte| number << 8 | u64::from(byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_lists_its_sections() {
        percid::Counter::new().inc();
        let listed = of_this_program();
        if cfg!(target_os = "linux") && percid_rseq::section::SUPPORTED {
            assert!(listed > Some(0), "{listed:?}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_not_read() {
        assert_eq!(listed(b""), None);
        assert_eq!(listed(b"#!/bin/sh"), None);
        assert_eq!(listed(b"\x7fELF\x01\x01"), None);
        let mut cut = b"\x7fELF\x02\x01".to_vec();
        cut.resize(64, 0xff);
        assert_eq!(listed(&cut), None);
    }

    #[test]
    fn a_program_without_sections_lists_none() {
        // One header, of a section without a name, and the names.
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(0x40 + 0x40 + 1, 0);
        (file[0x28], file[0x3a], file[0x3c]) = (0x40, 0x40, 1);
        file[0x40 + 0x18] = 0x80;
        assert_eq!(listed(&file), Some(0));
    }
}

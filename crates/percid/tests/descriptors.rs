//! The sections of this very program, as the linker left them: a debugger, and the
//! kernel, must find every one.
#![cfg(all(
    target_os = "linux",
    target_arch = "x86_64",
    not(any(loom, percid_portable))
))]

use std::fs;

use percid::Counter;

/// A section header of this program, as far as it matters.
struct Section {
    name: String,
    address: u64,
    size: u64,
}

/// The sections of an ELF64 file.
fn sections(file: &[u8]) -> Vec<Section> {
    let u16_at = |at: usize| u16::from_le_bytes(file[at..at + 2].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    assert_eq!(&file[..5], b"\x7fELF\x02", "an ELF64 file");
    let (table, size, count) = (u64_at(0x28) as usize, u16_at(0x3a), u16_at(0x3c));
    let header = |index: u16| table + usize::from(index) * usize::from(size);
    let names = u64_at(header(u16_at(0x3e)) + 0x18) as usize;
    (0..count)
        .map(|index| {
            let at = header(index);
            let name = &file[names + u32_at(at) as usize..];
            let end = name.iter().position(|&byte| byte == 0).unwrap();
            Section {
                name: String::from_utf8_lossy(&name[..end]).into_owned(),
                address: u64_at(at + 0x10),
                size: u64_at(at + 0x20),
            }
        })
        .collect()
}

/// Where this program is loaded: its first mapping.
fn base() -> u64 {
    let program = fs::read_link("/proc/self/exe").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps
        .lines()
        .find(|line| line.ends_with(program.to_str().unwrap()))
        .unwrap();
    u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap()
}

/// `N` words of this process at `address`.
fn read<const N: usize>(address: u64) -> [u64; N] {
    // SAFETY: the callers pass addresses of sections of this program.
    unsafe { std::ptr::with_exposed_provenance::<[u64; N]>(address as usize).read_unaligned() }
}

#[test]
fn every_descriptor_is_kept_and_sound() {
    let counter = Counter::new();
    counter.inc();
    counter.add(1);
    assert_eq!(counter.sum(), 2);

    let file = fs::read("/proc/self/exe").unwrap();
    let sections = sections(&file);
    let find = |name: &str| {
        let found = sections.iter().find(|section| section.name == name);
        found.unwrap_or_else(|| panic!("{name} did not survive linking"))
    };
    let (descriptors, pointers) = (find("__rseq_cs"), find("__rseq_cs_ptr_array"));
    assert!(descriptors.size > 0 && descriptors.size % 32 == 0);
    // inc and add here, add in the slow path: at the least three.
    assert!(pointers.size / 8 >= 3, "{} pointers", pointers.size / 8);
    assert_eq!(
        pointers.size / 8,
        descriptors.size / 32,
        "one pointer for each descriptor"
    );

    // Position-independent: file addresses count from the base.
    let base = if u16::from_le_bytes([file[0x10], file[0x11]]) == 3 {
        base()
    } else {
        0
    };
    let text = find(".text");
    let text = base + text.address..base + text.address + text.size;
    for index in 0..pointers.size / 8 {
        let [descriptor] = read(base + pointers.address + index * 8);
        let place = descriptor - (base + descriptors.address);
        assert!(
            place < descriptors.size && descriptor % 32 == 0,
            "points to a descriptor"
        );
        let [flags, start, length, abort] = read(descriptor);
        assert_eq!(flags, 0);
        assert!(text.contains(&start) && text.contains(&(start + length)));
        assert!((1..200).contains(&length), "a section of {length} bytes");
        assert!(
            !(start..start + length).contains(&abort),
            "the abort handler lies outside"
        );
        let [around] = read(abort - 4);
        assert_eq!(
            around as u32, 0x5305_3053,
            "the signature stands before the handler"
        );
    }
}

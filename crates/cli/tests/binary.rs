//! The program as it is shipped: its sections can be found by debuggers.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

/// The linker drops sections that nobody refers to; the list of descriptors is one,
/// unless it is marked to be kept. How sound they are is tested in the crate
/// `percid`.
#[test]
fn descriptors_survive_linking() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_percid")).unwrap();
    for section in [c"__rseq_cs", c"__rseq_cs_ptr_array"] {
        let name = section.to_bytes_with_nul();
        let found = program.windows(name.len()).any(|bytes| bytes == name);
        assert!(found, "{section:?} is not in the program");
    }
}

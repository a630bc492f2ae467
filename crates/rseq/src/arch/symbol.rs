/// The symbol of a thread-local of this very version: two versions of the crate
/// in one program must not share one.
macro_rules! symbol {
    ($name:literal) => {
        concat!(
            "percid_rseq_",
            $name,
            "_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            "_",
            env!("CARGO_PKG_VERSION_PATCH")
        )
    };
}

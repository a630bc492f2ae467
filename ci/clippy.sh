#!/usr/bin/env bash
# No warning of the compiler or of clippy, in any of the builds.
source "$(dirname "$0")/lib.sh"
step "clippy"
cargo clippy --workspace --all-targets -- -D warnings
for build in percid_inject percid_compare_twice percid_portable loom; do
    step "clippy --cfg $build"
    RUSTFLAGS="--cfg $build" cargo clippy --target-dir "target/$build" \
        "${LIBRARIES[@]}" --all-targets -- -D warnings
done

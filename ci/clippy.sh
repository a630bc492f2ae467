#!/usr/bin/env bash
# No warning of the compiler or of clippy, in any of the builds.
source "$(dirname "$0")/lib.sh"
step "clippy"
cargo clippy --workspace --all-targets -- -D warnings
step "clippy, every feature"
cargo clippy --workspace --all-targets --all-features -- -D warnings
step "clippy, no std"
cargo clippy -p percid-cid -p percid --no-default-features -- -D warnings
for build in percid_inject percid_compare_twice percid_portable; do
    step "clippy --cfg $build"
    cargo clippy "${LIBRARIES[@]}" --all-targets -- -D warnings --cfg $build
done
step "clippy --cfg loom"
RUSTFLAGS="--cfg loom" cargo clippy --target-dir target/loom "${LIBRARIES[@]}" \
    --lib --profile test -- -D warnings

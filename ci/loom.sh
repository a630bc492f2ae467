#!/usr/bin/env bash
# The lock-free protocols in every interleaving, and mutants that must be found.
source "$(dirname "$0")/lib.sh"
step "models (--cfg loom)"
RUSTFLAGS="--cfg loom" cargo test --target-dir target/loom \
    "${LIBRARIES[@]}" --release --lib loom

#!/usr/bin/env bash
# Tests on the body of targets without sections, whatever this one is.
source "$(dirname "$0")/lib.sh"
step "tests, portable body (--cfg percid_portable)"
RUSTFLAGS="--cfg percid_portable" cargo test --target-dir target/percid_portable \
    "${LIBRARIES[@]}" --release --tests

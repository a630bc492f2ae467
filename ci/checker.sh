#!/usr/bin/env bash
# Every state of the domain's machine in small domains, and mutants that must be found.
source "$(dirname "$0")/lib.sh"
step "model checker (stateright)"
cargo test --release -p percid-cid --lib checker -- \
    --include-ignored --nocapture --test-threads=1

#!/usr/bin/env bash
# Every state of the protocols in small worlds, and mutants that must be found.
#
#   ci/checker.sh [all]          all: also the models that take minutes
source "$(dirname "$0")/lib.sh"
step "model checker (stateright)"
which=()
[[ ${1:-} == all ]] && which=(--include-ignored)
cargo test --release "${LIBRARIES[@]}" --lib checker -- \
    --nocapture --test-threads=1 "${which[@]}"

#!/usr/bin/env bash
# The long forms: every cell of the conformance suite for longer, plainly and with
# sections that compare twice, the models that take minutes, and the exact totals again
# and again. About an hour; for a release, a new kernel or a new machine.
#
#   ci/stress.sh [rounds]          20 is the default
source "$(dirname "$0")/lib.sh"
ROUNDS=${1:-20}
[[ $ROUNDS =~ ^[1-9][0-9]*$ ]] || { sed -n '2,6p' "$0" >&2; exit 2; }

for build in percid_inject percid_inject,percid_compare_twice; do
    step "conformance, every cell for longer (--cfg $build)"
    PERCID_CONFORMANCE=full with "$build" cargo test --release \
        -p percid-rseq --test conformance -- --nocapture
done
ci/checker.sh all
step "torture whose controls need a while"
cargo test --release -p percid-shootdown --test torture -- --ignored
for ((round = 1; round <= ROUNDS; round++)); do
    step "every library's tests, round $round of $ROUNDS"
    with percid_inject cargo test --quiet --release "${LIBRARIES[@]}" --tests -- --skip checker
done
step "all passed"

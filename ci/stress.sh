#!/usr/bin/env bash
# The long forms: every cell of the conformance suite for longer, plainly and with
# sections that compare twice, and the exact totals again and again. About half an
# hour; for a release, a new kernel or a new machine.
#
#   ci/stress.sh [rounds]          20 is the default
source "$(dirname "$0")/lib.sh"
ROUNDS=${1:-20}
[[ $ROUNDS =~ ^[1-9][0-9]*$ ]] || { sed -n '2,6p' "$0" >&2; exit 2; }

for build in percid_inject "percid_inject --cfg percid_compare_twice"; do
    step "conformance, every cell for longer (--cfg $build)"
    RUSTFLAGS="--cfg $build" PERCID_CONFORMANCE=full cargo test --release \
        --target-dir "target/${build##* }" -p percid-rseq --test conformance -- --nocapture
done
for ((round = 1; round <= ROUNDS; round++)); do
    step "exact totals, round $round of $ROUNDS"
    RUSTFLAGS="--cfg percid_inject" cargo test --quiet --release --target-dir target/percid_inject \
        -p percid-rseq -p percid --test sections --test membarrier --test exact --test inject
done
step "all passed"

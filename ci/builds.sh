#!/usr/bin/env bash
# What ci/test.sh leaves: style, documentation, and the tests in every special build.
source "$(dirname "$0")/lib.sh"
unset PERCID_BACKEND GLIBC_TUNABLES

ci/format.sh
ci/clippy.sh
ci/docs.sh
step "the libraries' tests, release, libc without rseq (GLIBC_TUNABLES=glibc.pthread.rseq=0)"
GLIBC_TUNABLES=glibc.pthread.rseq=0 cargo test "${LIBRARIES[@]}" --release --tests -- --skip checker
ci/inject.sh
ci/compare_twice.sh
ci/portable.sh
ci/loom.sh
step "all passed"

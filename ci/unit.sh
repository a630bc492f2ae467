#!/usr/bin/env bash
# All tests and doctests, in debug and release, on every backend of this host.
source "$(dirname "$0")/lib.sh"
unset PERCID_BACKEND GLIBC_TUNABLES

step "tests, debug"
cargo test --workspace
step "tests, release"
cargo test --workspace --release
step "tests, fallback (PERCID_BACKEND=fallback)"
PERCID_BACKEND=fallback cargo test --workspace --release
step "tests, ids by a table (PERCID_BACKEND=table)"
PERCID_BACKEND=table cargo test --workspace --release
step "tests, libc without rseq (GLIBC_TUNABLES=glibc.pthread.rseq=0)"
GLIBC_TUNABLES=glibc.pthread.rseq=0 cargo test --workspace --release

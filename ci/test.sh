#!/usr/bin/env bash
# All tests, on every backend of this host, and the models: what README.md asks for.
# The special builds are in ci/builds.sh, other kernels in ci/vm.sh.
source "$(dirname "$0")/lib.sh"
unset PERCID_BACKEND GLIBC_TUNABLES

step "tests and examples of the documentation"
cargo test --workspace
step "the libraries' tests, fallback (PERCID_BACKEND=fallback)"
PERCID_BACKEND=fallback cargo test "${LIBRARIES[@]}" --tests
step "the libraries' tests, ids by a table (PERCID_BACKEND=table)"
PERCID_BACKEND=table cargo test "${LIBRARIES[@]}" --tests
ci/checker.sh
step "all passed"

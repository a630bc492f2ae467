#!/usr/bin/env bash
# The documentation builds without a warning.
source "$(dirname "$0")/lib.sh"
step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

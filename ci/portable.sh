#!/usr/bin/env bash
# Tests on the body of targets without sections, whatever this one is.
source "$(dirname "$0")/lib.sh"
step "tests, portable body (--cfg percid_portable)"
with percid_portable cargo test "${LIBRARIES[@]}" --tests -- --skip checker
with percid_portable cargo test "${LIBRARIES[@]}" --release --tests -- --skip checker

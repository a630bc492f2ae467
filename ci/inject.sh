#!/usr/bin/env bash
# Tests with delays inside sections: signals, preemption and migration land there.
source "$(dirname "$0")/lib.sh"
step "tests, delays inside sections (--cfg percid_inject)"
with percid_inject cargo test "${LIBRARIES[@]}" --release --tests -- --skip checker

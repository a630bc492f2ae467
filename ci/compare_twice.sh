#!/usr/bin/env bash
# Sections that compare twice before they commit: the builds in which a kernel that
# does not restart sections, or a neighbour that writes their words, is found.
source "$(dirname "$0")/lib.sh"
step "tests, sections that compare twice (--cfg percid_compare_twice)"
with percid_compare_twice,percid_inject cargo test -p percid-rseq --tests --release
with percid_compare_twice cargo test -p percid --tests --release

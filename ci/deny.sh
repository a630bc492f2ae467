#!/usr/bin/env bash
# Licences, advisories, sources and doubles of all dependencies. Needs cargo-deny, and
# the network for the advisories.
source "$(dirname "$0")/lib.sh"
cargo deny --version >/dev/null 2>&1 ||
    { echo "cargo-deny is missing: cargo install cargo-deny" >&2; exit 3; }
step "dependencies"
cargo deny --all-features --config ci/deny.toml check

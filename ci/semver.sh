#!/usr/bin/env bash
# The interfaces of the published crates against a revision: what a user of that would find
# broken. Needs cargo-semver-checks.
#
#   ci/semver.sh REVISION
source "$(dirname "$0")/lib.sh"
[[ $# == 1 ]] || { sed -n '2,5p' "$0" >&2; exit 2; }
cargo semver-checks --version >/dev/null 2>&1 ||
    { echo "cargo-semver-checks is missing: cargo install cargo-semver-checks" >&2; exit 3; }
step "interfaces since $1"
cargo semver-checks --baseline-rev "$1" "${LIBRARIES[@]}"

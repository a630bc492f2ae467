#!/usr/bin/env bash
# The published crates pack, and build from what was packed. And what `percid` brings along:
# ten crates at most, itself included.
source "$(dirname "$0")/lib.sh"
step "packages"
# A folder of its own: cargo keeps the sources of crates that were packed before.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo package --allow-dirty --quiet "${LIBRARIES[@]}" -p percid-sim --target-dir "$folder"
step "what percid depends on, without features"
tree=$(cargo tree --package percid --edges normal --prefix none | sed 's/ (.*//' | sort -u)
echo "$tree"
(($(wc -l <<<"$tree") <= 10)) || { echo "more than ten crates" >&2; exit 1; }

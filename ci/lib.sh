# Sourced by the scripts beside it: strict mode, the repository's root, headings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Prints what runs next.
step() { printf '\n==> %s\n' "$*"; }

# The crates whose protocols and sections are tested under special builds: those that
# programs depend on.
LIBRARIES=()
for crate in rseq:percid-rseq cid:percid-cid percid:percid shootdown:percid-shootdown; do
    [[ -e crates/${crate%%:*}/Cargo.toml ]] && LIBRARIES+=(-p "${crate##*:}")
done

# Runs cargo with cfgs of this repository set, for its own crates only: what they depend
# on is built once for all of them.
#
#   with percid_inject[,cfg...] cargo ...
with() {
    local wrapper=$PWD/target/with/$1 cfgs=()
    IFS=, read -ra cfgs <<<"$1"
    if [[ ! -x $wrapper ]]; then
        mkdir -p target/with
        # shellcheck disable=SC2016
        printf '#!/bin/sh\nrustc=$1\nshift\nexec "$rustc" "$@"%s\n' \
            "$(printf ' --cfg %s' "${cfgs[@]}")" >"$wrapper.new"
        chmod +x "$wrapper.new" && mv "$wrapper.new" "$wrapper"
    fi
    shift
    RUSTC_WORKSPACE_WRAPPER=$wrapper "$@"
}

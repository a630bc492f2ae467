# Sourced by the scripts beside it: strict mode, the repository's root, headings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Prints what runs next.
step() { printf '\n==> %s\n' "$*"; }

# The crates whose protocols and sections are tested under special builds.
LIBRARIES=(-p percid-rseq -p percid-cid -p percid)

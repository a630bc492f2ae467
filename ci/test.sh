#!/usr/bin/env bash
# Everything that must hold, on this host. Each part runs by hand, too.
source "$(dirname "$0")/lib.sh"
ci/format.sh
ci/clippy.sh
ci/docs.sh
ci/unit.sh
ci/inject.sh
ci/compare_twice.sh
ci/portable.sh
ci/loom.sh
ci/checker.sh
step "all passed"

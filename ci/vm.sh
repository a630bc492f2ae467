#!/usr/bin/env bash
# Boots the suites as static programs on other kernels, and on aarch64, under
# emulation: what is right there, never how fast.
#
#   ci/vm.sh [x86-64|aarch64|all] [TEST...]          all is the default
#
# TEST: the names of test programs (`conformance compact`); without one, all of them.
# Models are left out; what fails is tried once more. Needs root on Debian or a system
# like it (debootstrap, apt-get). Everything is fetched into .cache/vm and kept there. One
# line for each kernel; exit 0 if all passed, 1 if one failed, 3 if something could not be
# had.
source "$(dirname "$0")/lib.sh"

CACHE=$PWD/.cache/vm
# The mirror that this system uses itself.
MIRROR=${PERCID_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null |
    grep -v security | head -n 1 || true)}
ROOT=$CACHE/sid

# What is booted: architecture, suite, first digits of the version, CPUs.
MATRIX=(
    "amd64 bookworm 6.1 16"
    "amd64 trixie 6.12 16"
    "amd64 sid 7. 16"
    "arm64 trixie 6.12 8"
    "arm64 sid 7. 8"
)

# Says what could not be had, and ends.
cannot() {
    echo "ci/vm.sh: $*" >&2
    exit 3
}

# apt-get and apt-cache of another suite and architecture, beside the system's own.
apt_of() {
    local tool=$1 arch=$2 suite=$3 state
    shift 3
    state=$CACHE/apt/$suite-$arch
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    echo "deb [trusted=yes] $MIRROR $suite main" >"$state/sources.list"
    : >>"$state/status"
    "$tool" -q -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" \
        -o Dir::Cache="$state/cache" -o APT::Architecture="$arch" -o APT::Architectures="$arch" \
        -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root "$@"
}

# Unpacks one package of a suite into a folder.
unpack() {
    local arch=$1 suite=$2 package=$3 into=$4
    (
        mkdir -p "$into" && cd "$into"
        apt_of apt-get "$arch" "$suite" download "$package" >/dev/null
        dpkg -x ./*.deb . && rm -f ./*.deb
    )
}

# Keeps one file of what was unpacked, by another name.
keep() {
    local found
    found=$(find "$1" -type f -name "$2" ! -path '*/share/*' -size +100k | head -n 1)
    [[ -n $found ]] && { [[ $found == "$1/$3" ]] || cp "$found" "$1/$3"; }
}

# The kernel and busybox of a row of the matrix, in a folder of their own.
fetch() {
    local arch=$1 suite=$2 version=$3 into=$4 image
    [[ -e $into/complete ]] && return
    rm -rf "$into" && mkdir -p "$into"
    apt_of apt-get "$arch" "$suite" update >/dev/null 2>&1 || return 1
    image=$(apt_of apt-cache "$arch" "$suite" depends "linux-image-cloud-$arch" |
        sed -n "s/.*Depends: \(linux-image-${version}[^ ]*-cloud-$arch\).*/\1/p" | head -n 1)
    [[ -n $image ]] || return 1
    # From 7.x on the image is in a package of another name.
    unpack "$arch" "$suite" "${image/linux-image/linux-binary}" "$into" 2>/dev/null ||
        unpack "$arch" "$suite" "$image" "$into" || return 1
    unpack "$arch" "$suite" busybox-static "$into" || return 1
    keep "$into" 'vmlinuz*' vmlinuz && keep "$into" busybox busybox && touch "$into/complete"
}

# A Debian of its own for the emulators and the compiler for aarch64.
bootstrap() {
    local packages=(qemu-system-x86 qemu-system-arm cpio)
    local cross=(rustc cargo gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross
        libstd-rust-dev:arm64)
    if [[ ! -e $ROOT/complete ]]; then
        rm -rf "$ROOT"
        debootstrap --variant=minbase --include=ca-certificates sid "$ROOT" "$MIRROR" >"$CACHE/log" 2>&1
        echo 'Acquire::Check-Valid-Until "false";' >"$ROOT/etc/apt/apt.conf.d/99vm"
        chroot "$ROOT" dpkg --add-architecture arm64
        chroot "$ROOT" apt-get update >>"$CACHE/log" 2>&1
        chroot "$ROOT" apt-get install -y --no-install-recommends "${packages[@]}" >>"$CACHE/log" 2>&1
        touch "$ROOT/complete"
    fi
    if [[ $1 != x86-64 && ! -e $ROOT/complete-aarch64 ]]; then
        chroot "$ROOT" apt-get install -y --no-install-recommends "${cross[@]}" >>"$CACHE/log" 2>&1
        touch "$ROOT/complete-aarch64"
    fi
}

# The flags of a static program with delays in its sections.
FLAGS="-C target-feature=+crt-static --cfg percid_inject"

# Builds the tests of an architecture and lists their programs.
build() {
    if [[ $1 == amd64 ]]; then
        RUSTFLAGS=$FLAGS cargo test --no-run --release --target x86_64-unknown-linux-gnu \
            --target-dir target/vm "${LIBRARIES[@]}" --tests 2>&1
    else
        mkdir -p "$ROOT/percid" "$ROOT/cargo" target/vm
        cargo fetch --quiet
        # A name space of its own: the mounts go when it ends.
        unshare --mount bash -euc '
            mount --bind "$1" "$2/percid"
            mount --bind "${CARGO_HOME:-$HOME/.cargo}" "$2/cargo"
            chroot "$2" env CARGO_HOME=/cargo HOME=/root RUSTFLAGS="$3" \
                CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
                sh -c "cd /percid && cargo test --no-run --offline --release \
                    --target aarch64-unknown-linux-gnu --target-dir target/vm-aarch64 \
                    $4 --tests"' _ "$PWD" "$ROOT" "$FLAGS" "${LIBRARIES[*]}" 2>&1
    fi | tee "$CACHE/build-$1.log" | sed -n 's/.*Executable.*(\(.*\)).*/\1/p' | sed 's#^/percid/##'
}

# The first program: runs the tests one after the other and switches off.
write_init() {
    cat >"$1" <<'INIT'
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
echo "vm: kernel $(/bin/busybox uname -r) cpus $(/bin/busybox nproc)"
for test in /tests/*; do
    name=${test##*/}
    # Emulated CPUs stand still for seconds at times: once more, and it counts.
    for attempt in 1 2; do
        PERCID_SECONDS=5 PERCID_OFFLINE_CPU=1 "$test" --nocapture --test-threads=1 --skip checker >/tmp/out 2>&1
        status=$?
        [ $status = 0 ] && break
        echo "vm: $name failed, attempt $attempt"
        /bin/busybox tail -n 40 /tmp/out
    done
    /bin/busybox grep -E 'cells exact|test result|strict:|relaxed:|burst' /tmp/out | /bin/busybox sed "s/^/vm: $name: /"
    echo "vm: $name exit $status"
done
echo "vm: done"
/bin/busybox poweroff -f
INIT
    chmod +x "$1"
}

# Boots one row of the matrix; one line says what came of it.
boot() {
    local arch=$1 suite=$2 version=$3 cpus=$4 programs=$5
    local kernel=$CACHE/kernels/$arch-$suite log=$CACHE/boot-$arch-$suite.log
    fetch "$arch" "$suite" "$version" "$kernel" || {
        echo "Linux $version* $arch ($suite): could not be had"
        return 3
    }
    local tree=$CACHE/tree
    rm -rf "$tree" && mkdir -p "$tree"/{bin,tests}
    cp "$kernel/busybox" "$tree/bin/busybox"
    local program name
    for program in $programs; do
        name=${program##*/}
        [[ ${#TESTS[@]} == 0 || " ${TESTS[*]} " == *" ${name%-*} "* ]] || continue
        # Two crates may have tests of the same name.
        [[ -e $tree/tests/${name%-*} ]] || name=${name%-*}
        cp "$program" "$tree/tests/$name"
    done
    write_init "$tree/init"
    (cd "$tree" && find . | cpio -o -H newc --quiet | gzip -1) >"$ROOT/tmp/initrd.gz"
    cp "$kernel/vmlinuz" "$ROOT/tmp/vmlinuz"
    local emulator=(qemu-system-x86_64 -cpu max)
    local console=ttyS0
    if [[ $arch == arm64 ]]; then
        emulator=(qemu-system-aarch64 -M virt -cpu "max,pauth-impdef=on")
        console=ttyAMA0
    fi
    # In the foreground: the emulator ends with this script.
    timeout --foreground --kill-after=5 1500 chroot "$ROOT" "${emulator[@]}" -accel tcg,thread=multi -smp "$cpus" -m 2G \
        -nographic -no-reboot -kernel /tmp/vmlinuz -initrd /tmp/initrd.gz \
        -append "console=$console panic=-1 quiet" </dev/null >"$log" 2>&1 || true
    local release failed cells
    release=$(sed -n 's/.*vm: kernel \([^ ]*\).*/\1/p' "$log")
    cells=$(grep -aoE '[0-9]+ cells exact[^;]*' "$log" | tr -d '\r' | tail -n 1 || true)
    failed=$(grep -aE 'vm: .* exit [1-9]' "$log" | sed 's/vm: //' | tr -d '\r' | paste -sd ' ' || true)
    if grep -aq 'vm: done' "$log" && [[ -z $failed ]]; then
        echo "Linux ${release:-$version} $arch, $cpus CPUs: passed${cells:+, $cells}"
    else
        echo "Linux ${release:-$version} $arch, $cpus CPUs: FAILED ${failed:-without an end}; see $log"
        return 1
    fi
}

main() {
    local which=${1:-all}
    [[ $which =~ ^(x86-64|aarch64|all)$ ]] || { sed -n '2,11p' "$0" >&2; exit 2; }
    TESTS=("${@:2}")
    [[ $(id -u) == 0 ]] || cannot "needs root, for debootstrap and chroot"
    command -v apt-get >/dev/null || cannot "needs apt-get: Debian or a system like it"
    [[ -n $MIRROR ]] || cannot "no mirror found; name one in PERCID_DEBIAN_MIRROR"
    mkdir -p "$CACHE/kernels"
    command -v debootstrap >/dev/null && command -v cpio >/dev/null ||
        { apt-get update && apt-get install -y --no-install-recommends debootstrap cpio; } \
            >"$CACHE/log" 2>&1 || cannot "could not install debootstrap; see $CACHE/log"
    step "emulators and compilers in $ROOT"
    bootstrap "$which" || cannot "could not make $ROOT; see $CACHE/log"

    local status=0 row arch suite version cpus programs result
    for arch in amd64 arm64; do
        [[ $which == x86-64 && $arch == arm64 || $which == aarch64 && $arch == amd64 ]] && continue
        step "tests for $arch"
        programs=$(build "$arch")
        [[ -n $programs ]] || { echo "the tests did not build; see $CACHE/build-$arch.log"; exit 1; }
        for row in "${MATRIX[@]}"; do
            [[ $row == "$arch "* ]] || continue
            read -r arch suite version cpus <<<"$row"
            result=0
            boot "$arch" "$suite" "$version" "$cpus" "$programs" || result=$?
            ((result == 1 || status == 0)) && ((result != 0)) && status=$result
        done
    done
    return "$status"
}

main "$@"

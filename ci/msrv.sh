#!/usr/bin/env bash
# The libraries build with the oldest Rust that Cargo.toml names. Needs that toolchain:
# rustup toolchain install 1.88
source "$(dirname "$0")/lib.sh"
version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
step "the libraries on Rust $version"
cargo "+$version" --version >/dev/null 2>&1 || { echo "Rust $version is not installed" >&2; exit 3; }
cargo "+$version" check --target-dir target/msrv "${LIBRARIES[@]}"

# Chores. `just` lists them.
default:
    @just --list

# Format everything.
fmt:
    cargo fmt --all

# Lints, warnings as errors.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# All tests.
test:
    cargo nextest run --workspace

# Licences, bans and sources of every dependency.
deny:
    cargo deny check licenses bans sources

# The documentation of our crates.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# What the continuous integration runs.
ci:
    bash .ci/run

# Chores. `just` lists them.
default:
    @just --list

# Format everything.
fmt:
    cargo fmt --all

# Lints, warnings as errors.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The quick tests: no PostgreSQL, no browser, nothing to install.
test:
    cargo nextest run --workspace --profile fast

# All tests.
test-all:
    cargo nextest run --workspace
    cargo test --quiet -p error-chain --doc

# Unused dependencies; licences, bans and sources of the others.
deps:
    cargo machete
    cargo deny check licenses bans sources

# The documentation of our crates.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# What the continuous integration runs.
ci:
    bash .ci/run

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

# A CycloneDX bill of materials of each program, in target/sbom.
sbom:
    bash .ci/sbom target/sbom

# One fuzz target for five minutes.
fuzz target:
    RUSTC_BOOTSTRAP=1 cargo fuzz run -s none {{target}} -- -max_total_time=300

# The documentation of our crates.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# What the continuous integration runs.
ci:
    bash .ci/run

# All benchmarks, on a quiet machine; the exit code says whether the limits hold.
bench:
    cargo build --release --workspace --bins
    failed=0; for what in ingest latency orders idle; do target/release/bench $what || failed=1; done; exit $failed

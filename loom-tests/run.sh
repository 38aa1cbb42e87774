#!/usr/bin/env bash
# Explores every model with loom, and fails when one of them did not run: a test file that is
# compiled without `--cfg loom`, or not at all, passes too.
#
#   loom-tests/run.sh          at most 2 preemptions an execution: for every change
#   loom-tests/run.sh --slow   at most 3: for the slow lane
#
# LOOM_MAX_PREEMPTIONS, if set, is taken instead of the 2.
set -euo pipefail

preemptions="${LOOM_MAX_PREEMPTIONS:-2}"
case "${1:-}" in
"") ;;
--slow) preemptions=3 ;;
*)
    echo "usage: $0 [--slow]" >&2
    exit 2
    ;;
esac

# These end a run early, and with success. Such a run proves nothing.
for variable in LOOM_MAX_DURATION LOOM_MAX_PERMUTATIONS LOOM_CHECKPOINT_FILE; do
    if [[ -n "${!variable:-}" ]]; then
        echo "$variable is set: the models would not be explored to their end" >&2
        exit 2
    fi
    unset "$variable"
done

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$here/.."
export LOOM_MAX_PREEMPTIONS="$preemptions"
export RUSTFLAGS="--cfg loom ${RUSTFLAGS:-}"
# The flag reaches every dependency: in a directory of its own it invalidates nobody's build.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target/loom}"
mkdir -p "$CARGO_TARGET_DIR"
output="$CARGO_TARGET_DIR/models.txt"

cargo test --release -p octostore-loom-tests --test models -- --show-output 2>&1 | tee "$output"

# What ought to have run is read from the source, which no flag can empty.
models="$here/tests/models.rs"
expected="$(sed -n 's/.*explore("\([^"]*\)".*/\1/p' "$models" | sort)"
twins_expected="$(grep -c '#\[should_panic(' "$models")"
explored="$(sed -n 's/^explored by loom: \(.*\): [1-9][0-9]*$/\1/p' "$output" | sort)"
twins_caught="$(grep -c ' - should panic \.\.\. ok$' "$output" || true)"

echo
echo "Executions explored, at most $preemptions preemptions each:"
sed -n 's/^explored by loom: \(.*\): \([0-9]*\)$/\2\t\1/p' "$output" | sort -t "$(printf '\t')" -k 2 |
    while IFS=$'\t' read -r executions model; do printf '%10d  %s\n' "$executions" "$model"; done
echo "Twins caught: $twins_caught of $twins_expected."
executions="$(sed -n 's/^explored by loom: .*: \([0-9]*\)$/\1/p' "$output" | awk '{n += $1} END {print n + 0}')"
missing=$(($(wc -l <<<"$expected") - $(wc -l <<<"$explored")))
echo "proof: One outcome, No ghosts, Durability | threads in every order, at most $preemptions preemptions | $executions executions of $(wc -l <<<"$explored") models | $missing"
echo "proof: One outcome, No ghosts, Durability | the same models with a bug put in | $twins_expected twins | $((twins_expected - twins_caught))"

if [[ -z "$expected" ]] || ! missing="$(comm -23 <(echo "$expected") <(echo "$explored"))" ||
    [[ -n "$missing" ]]; then
    echo "Not explored:" >&2
    echo "${missing:-all: no model is named in $models}" >&2
    exit 1
fi
if ((twins_caught < twins_expected)); then
    echo "A twin did not run: its model may prove nothing." >&2
    exit 1
fi

#!/usr/bin/env bash
# scripts/bench.sh [NAME [OPTION...]]    set-up, then benchmarks/NAME.py, or every benchmark in turn
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
"$root/scripts/setup.sh" dev synth
if [[ $# -gt 0 ]]; then
    exec "$root/.venv/bin/python" "$root/benchmarks/$1.py" "${@:2}"
fi
for benchmark in "$root"/benchmarks/*.py; do
    echo "== $(basename -- "$benchmark" .py)"
    "$root/.venv/bin/python" "$benchmark"
done

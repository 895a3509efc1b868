#!/usr/bin/env bash
# scripts/bench.sh [NAME [OPTION...]]    set-up, then benchmarks/NAME.py, or in turn all that need no data
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
"$root/scripts/setup.sh" dev
if [[ $# -gt 0 ]]; then
    exec "$root/.venv/bin/python" "$root/benchmarks/$1.py" "${@:2}"
fi
for name in ctc_loss alignment decoding language_model training; do
    echo "== $name"
    "$root/.venv/bin/python" "$root/benchmarks/$name.py"
done

#!/usr/bin/env bash
# scripts/train.sh [data=fsdd] [model=ds2_gru] [key=value]...    set-up, then `asr train`
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
"$root/scripts/setup.sh" train synth tune
exec "$root/.venv/bin/asr" train "$@"

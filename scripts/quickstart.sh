#!/usr/bin/env bash
# scripts/quickstart.sh [quickstart.size=tiny] [key=value]...    set-up, then the whole pipeline once
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
"$root/scripts/setup.sh" train synth tune
exec "$root/.venv/bin/asr" quickstart "$@"

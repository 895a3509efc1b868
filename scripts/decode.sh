#!/usr/bin/env bash
# scripts/decode.sh checkpoint=... [decoder=beam] [key=value]...    set-up, then `asr decode`
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
"$root/scripts/setup.sh" train synth tune
exec "$root/.venv/bin/asr" decode "$@"

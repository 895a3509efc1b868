#!/usr/bin/env bash
# scripts/test.sh [WORD...]    set-up, then every check; words go to pytest, paths as seen from the project's root
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
"$root/scripts/setup.sh" dev
cd -- "$root"
PATH="$root/.venv/bin:$PATH"

failed=()
check() {
    echo "== $1"
    "${@:2}" || failed+=("$1")
}

check "ruff check" ruff check
check "ruff format" ruff format --check
check "basedpyright" basedpyright
check "import-linter" lint-imports --no-cache
check "clang-format" find native -name '*.?pp' -exec clang-format --dry-run --Werror {} +
check "shellcheck" shellcheck scripts/*.sh .ci/run
check "pytest" python -m pytest -n 2 --dist loadfile "$@"

if [[ ${#failed[@]} -gt 0 ]]; then
    printf 'test.sh: failed after %d s: %s\n' "$SECONDS" "$(IFS=,; echo "${failed[*]}")" >&2
    exit 1
fi
printf 'test.sh: everything passed in %d s\n' "$SECONDS"

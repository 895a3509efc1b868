#!/usr/bin/env bash
# scripts/setup.sh EXTRA...    make .venv and install the project with these extras, unless that is done
#
# The other scripts call this first. What is missing on the machine is said in one line, with exit
# code 2, before anything is written. PYTHON and CXX choose another interpreter or compiler.
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
log="$venv/setup.log"
needed_gb=8 # PyTorch's wheels for Linux carry CUDA: 3 GB to download, 5 GB unpacked

refuse() {
    echo "setup: $*" >&2
    exit 2
}

say() {
    printf 'setup: %3d s  %s\n' "$SECONDS" "$*" >&2
}

# What an installation depends on: its place and its packages (an editable install remembers both),
# the build's settings and the native code. Python files and YAML are read in place.
fingerprint() {
    {
        echo "$root"
        (cd -- "$root" && find asr -name __init__.py | LC_ALL=C sort)
        find "$root/pyproject.toml" "$root/native" -type f | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cat
    } | cksum
}

is_installed() {
    local extra
    [[ -x $venv/bin/asr ]] || return 1
    for extra in "$@"; do
        [[ "$(cat "$venv/setup-$extra.stamp" 2>/dev/null)" == "$(fingerprint)" ]] || return 1
    done
}

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local candidate
    if [[ -e $venv ]]; then
        { is_recent "$venv/bin/python" && "$venv/bin/python" -c 'import pip' 2>/dev/null; } ||
            refuse ".venv holds no working Python 3.11+ with pip; remove it and run again: rm -r '$venv'"
        python="$venv/bin/python"
        return
    fi
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if is_recent "$candidate"; then
            python="$candidate"
            return
        fi
    done
    candidate="${PYTHON:-python3}"
    refuse "Python 3.11 or newer is needed, found $("$candidate" --version 2>/dev/null || echo none)" \
        "($candidate); install one or name it: PYTHON=/path/to/python3.11"
}

check_python() {
    local include
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        refuse "$python has no venv module; on Debian and Ubuntu: apt install python3-venv"
    include="$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
    [[ -f $include/Python.h ]] ||
        refuse "$python has no headers ($include/Python.h); on Debian and Ubuntu: apt install python3-dev"
}

check_compiler() {
    local scratch cxx
    scratch="$(mktemp -d)"
    printf '%s\n' '#include <optional>' 'int main() { if constexpr (true) return *std::optional<int>(0); }' \
        >"$scratch/probe.cpp"
    set -- c++ g++ clang++
    [[ -n ${CXX:-} ]] && set -- "$CXX"
    for cxx in "$@"; do
        # CXX may carry words of its own, as in "ccache g++".
        if sh -c "$cxx -std=c++17 -o \"\$0/probe\" \"\$0/probe.cpp\"" "$scratch" >/dev/null 2>&1; then
            rm -r "$scratch"
            return
        fi
    done
    rm -r "$scratch"
    refuse "a C++17 compiler is needed, and ${CXX:-none of c++, g++, clang++} compiles a program;" \
        "install one (Debian and Ubuntu: apt install g++; macOS: xcode-select --install) or set CXX"
}

check_disk() {
    local free_kb
    compgen -G "$venv/lib/python*/site-packages/torch" >/dev/null && return
    free_kb="$(df -Pk "$root" | awk 'NR == 2 { print $4 }')"
    [[ $free_kb -ge $((needed_gb * 1000 * 1000)) ]] ||
        refuse "$needed_gb GB of free disk space are needed for PyTorch, $root has $((free_kb / 1000 / 1000)) GB"
}

# Run pip in the background and say every ten seconds what it is at.
run_pip() {
    local pid next=$((SECONDS + 10))
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 "$venv/bin/python" -m pip install "$@" \
        >"$log" 2>&1 </dev/null &
    pid=$!
    trap 'kill '"$pid"' 2>/dev/null || true' EXIT
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.1
        if [[ $SECONDS -ge $next ]]; then
            say "$(grep -oE '(Collecting|Downloading|Using cached|Building [a-z]+ for|Installing build|Installing collected) [^: ]+' "$log" | tail -n 1)"
            next=$((SECONDS + 10))
        fi
    done
    trap - EXIT
    wait "$pid"
}

# The compiler's first complaint, else pip's last line.
last_error() {
    grep -m 1 -oE '[^ ]+:[0-9]+:.* error: .*|CMake Error.*' "$log" && return
    { grep -E '^ *ERROR:' "$log" || grep -v '^ *$' "$log" || echo "no output"; } | tail -n 1
}

extras=("$@")
is_installed "${extras[@]}" && exit 0

case "$(uname -s)" in
    Linux | Darwin) ;;
    *) refuse "Linux or macOS is needed, this is $(uname -s)" ;;
esac
find_python
check_python
check_compiler
check_disk

if [[ ! -e $venv ]]; then
    say "making .venv with $("$python" --version)"
    "$python" -m venv "$venv" >/dev/null || refuse "$python -m venv failed; remove $venv and run again"
fi
names="$(IFS=,; echo "${extras[*]}")"
say "installing ctc-asr[$names] into .venv (1 to 5 minutes the first time, mostly PyTorch)"
run_pip --editable "${root}[$names]" || refuse "pip failed: $(last_error) (log: $log)"
for extra in "${extras[@]}"; do
    fingerprint >"$venv/setup-$extra.stamp"
done
say "installed"

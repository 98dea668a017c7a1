#!/usr/bin/env bash
# Measure on a machine with a GPU that has PyTorch, torchvision and timm, but neither the other packages
# nor the internet. `gpu.sh wheels` downloads those packages elsewhere, into the folder wheels/; `gpu.sh list`
# prints their versions and hashes. Without an argument: install them beside the machine's own packages, run the tests marked gpu and the benchmarks at
# full size. Options after `--` go to the benchmarks, for example `gpu.sh -- --size toy --device cpu`.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-results}
PACKAGES=(diffusers snakemake pydantic pydantic-core annotated-types typing-inspection jsonschema
    jsonschema-specifications referencing rpds-py attrs importlib-metadata zipp regex pytest pluggy iniconfig)

# Their versions and hashes, from the lock file: pip refuses a wheel that has another.
locked() {
    awk -v wanted="${PACKAGES[*]}" '
        BEGIN { count = split(wanted, names, " "); for (i = 1; i <= count; i++) known[names[i]] }
        /^[a-z]/ { split($1, part, "=="); taken = part[1] in known }
        taken && !/^ *#/' requirements.lock
}

if [ "${1:-}" = list ]; then
    locked
    exit
fi
if [ "${1:-}" = wheels ]; then
    python3 -m pip download --quiet --no-deps --require-hashes --only-binary :all: --dest wheels -r <(locked)
    exit
fi
[ "${1:-}" != -- ] || shift

python3 -m venv --system-site-packages .venv-gpu
.venv-gpu/bin/python -m pip install --quiet --no-index --find-links wheels --no-deps --require-hashes -r <(locked)
mkdir -p "$OUT"
.venv-gpu/bin/python -m pytest -q -m gpu -p no:cacheprovider tests/unit/test_gpu.py
.venv-gpu/bin/python -m benchmarks --size full --device cuda --only rates sampling training growth \
    --out "$OUT/benchmarks-gpu.jsonl" "$@"

#!/usr/bin/env bash
# run.sh [MODEL_DIR]: the GPU's tests, and with a checkpoint the engine's speed on it, from a bundle that bundle.sh made. Prints one
# table; ends with 1 if a test failed or there is no GPU.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
logs=$(mktemp -d)
failed=0

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || failed=1
printf 'commit %s, %s\n' "$(cat "$here/commit")" "$(date -u +%F)"

# Tests: name, seconds, passed, failed.
test_row() {
  local name=$1 start=$SECONDS
  shift
  "$@" > "$logs/$name" 2>&1 || failed=1
  printf '%-40s %5d s   passed %4d   failed %3d\n' "$name" $((SECONDS - start)) "$(grep -c '^\[       OK' "$logs/$name")" \
    "$(grep -c '^\[  FAILED  \].*ms)$' "$logs/$name")"
  grep -E '^\[  FAILED  \].*ms\)$|fatal|CUDA:' "$logs/$name" | head -20
  grep -E -A3 'Failure$' "$logs/$name" | head -40
}
test_row gpu_kernels_tests "$here/bin/gpu_kernels_tests"
test_row golden "env" SWITCHYARD_GOLDEN="$here/data/golden" "$here/bin/gpu_golden_tests" --gtest_filter='*cuda*'
test_row odd "env" SWITCHYARD_GOLDEN="$here/data/odd" "$here/bin/gpu_golden_tests" --gtest_filter='*cuda*'

if [ $# -gt 0 ]; then
  for form in none int8; do
    echo "engine, $(basename "$1"), quantization $form:"
    "$here/bin/engine_bench" --model "$1" --backend cuda --quantization "$form" --rounds 1 --prefill 512,2048 --decode 1,8,32 | grep -v '^#' || failed=1
  done
fi
exit $failed

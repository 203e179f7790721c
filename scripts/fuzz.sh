#!/usr/bin/env bash
# Fuzzes every decoder with libFuzzer: scripts/fuzz.sh [seconds per target] [target ...]
# JOBS targets run side by side (2). Works with the stable compiler (coverage counters are an LLVM pass) and a C++ compiler. Finds go to fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds=${1:-600}
shift || true
triple=$(rustc -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-target}/fuzz
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
CARGO_TARGET_DIR=$build cargo build --release --target "$triple" --bins
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
run() {
  local target=$1 corpus=$build/corpus/$1 log=$build/$1.log
  mkdir -p "$corpus" "artifacts/$target"
  python3 ../scripts/fuzz_seeds.py "$target" "$corpus"
  local code=0
  "$build/$triple/release/$target" -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="artifacts/$target/" "$corpus" >"$log" 2>&1 || code=$?
  echo "== $target: $seconds s, exit $code, $(sed -n 's/^stat::number_of_executed_units: //p' "$log") executions"
  grep -E "ERROR|panicked|SUMMARY" "$log" || true
  return $code
}
status=0
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-2}" ]; do wait -n || status=1; done
  run "$target" &
done
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n || status=1; done
exit $status

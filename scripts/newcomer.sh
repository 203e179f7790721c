#!/usr/bin/env bash
# Times a newcomer's path: a new model, trained, checked, deployed, and its first scored prediction in the demo world.
# Fails when the path takes longer than LIMIT_S (120). The binary is already built; building is not part of the path.
#
#   scripts/newcomer.sh                     with the training kit's packages as they are (installed once, if never before)
#   scripts/newcomer.sh --cold              with an empty cache: the packages are installed within the time
#   scripts/newcomer.sh --template gru --json
#
# ORACULO names the binary; without it the newest of cargo's builds, then the PATH, is taken.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
template=logistic cold=false json=false limit=${LIMIT_S:-120}
while [ $# -gt 0 ]; do
  case "$1" in
    --cold) cold=true ;;
    --json) json=true ;;
    --template) template=${2:?--template NAME}; shift ;;
    *) sed -n '2,9p' "$0" >&2; exit 2 ;;
  esac
  shift
done

if [ -z "${ORACULO:-}" ]; then
  builds=${CARGO_TARGET_DIR:-$HOME/.cache/oraculo/target}
  ORACULO=$(ls -t "$builds"/{release,demo,debug}/oraculo 2>/dev/null | head -n 1 || true)
  ORACULO=${ORACULO:-$(command -v oraculo || true)}
fi
[ -x "$ORACULO" ] || { echo "newcomer: no binary; build one (make demo), or set ORACULO" >&2; exit 2; }
export ORACULO

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# The demo looks for models and for ONNX Runtime near the working directory; the clone has both.
export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$(ls "$here"/vendor/onnxruntime/lib/libonnxruntime.so* 2>/dev/null | head -n 1 || true)}
[ -n "$ORT_DYLIB_PATH" ] || unset ORT_DYLIB_PATH
$cold && export ORACULO_CACHE=$work/cache

names=() millis=()
step() { # NAME COMMAND...: runs the command, its talk to the log; the last line of its stdout is in $said
  local name=$1 began ended
  shift
  began=${EPOCHREALTIME/[.,]/}
  if ! "$@" >"$work/$name.out" 2>"$work/$name.err"; then
    echo "newcomer: $name failed: $*" >&2
    tail -n 20 "$work/$name.out" "$work/$name.err" >&2
    exit 1
  fi
  ended=${EPOCHREALTIME/[.,]/}
  said=$(tail -n 1 "$work/$name.out")
  names+=("$name") millis+=($(((ended - began) / 1000)))
  printf '%-12s %7.1f s\n' "$name" "$((millis[-1]))e-3" >&2
}

step environment "$ORACULO" automl --python
python=$said
if grep -q installing environment.err; then environment=cold; else environment=warm; fi
step init "$ORACULO" model init newcomer --template "$template"
step train "$python" newcomer/train.py
step check "$ORACULO" model check newcomer
step deploy "$ORACULO" model deploy newcomer --store "$work/store"
deployed=$said
step demo "$ORACULO" demo --bundle "$deployed" --until-scored newcomer --for "$limit" --json \
  --models "$here/models" --dir "$work/run" --listen 127.0.0.1:0
summary=$said

total=0
for ms in "${millis[@]}"; do total=$((total + ms)); done
first=$(python3 - "$summary" <<'PY'
import json, sys
guest = json.loads(sys.argv[1])["guests"][0]
first = guest["first_scored"]
print(f"Brier {first['brier']:.5f} (reference {first['reference_brier']:.5f}), rank {guest['rank']} of {guest['of']}")
PY
)
printf '%-12s %7.1f s   environment %s, template %s; first scored prediction: %s\n' \
  total "${total}e-3" "$environment" "$template" "$first" >&2
if $json; then
  line="{\"environment\":\"$environment\",\"template\":\"$template\",\"limit_s\":$limit,\"total_s\":$(printf '%.3f' "${total}e-3"),\"steps_s\":{"
  for k in "${!names[@]}"; do line+="\"${names[k]}\":$(printf '%.3f' "${millis[k]}e-3"),"; done
  echo "${line%,}}}"
fi
if [ "$total" -gt $((limit * 1000)) ]; then
  echo "newcomer: the path took longer than $limit s" >&2
  exit 1
fi

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Trains one model with every quantization method on equal tokens and with equal
# tuning effort, and prints the table of validation losses as Markdown: each
# method, with scales of each kind, tries the same learning rates at one seed and
# fewer tokens, and its best one then runs with every seed. Where the best is the
# first or last of the rates, the one beyond it (half or double) is tried too. What is
# done stands in OUTPUT/results.tsv; the same command goes on where it was stopped.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: tools/compare-methods.sh OUTPUT [NAME=VALUE ..] [-- KEY=VALUE of the recipe ..]
  recipe=FILE         trainer/recipes/stories260K_w2.yaml without its teacher
  tokens=N            1e6: of a run
  tuning_tokens=N     3e5: of a run that tries a learning rate
  rates="R .."        1e-3 2e-3 4e-3
  seeds="S .."        0 1 2
  methods="M .."      none complex_phase_v1 .. v3 bitnet ternary sign2 int2
  scales="S .."       tensor row
  train=PROGRAM       build/bin/fairy2-train
TEXT
  exit 2
}

(($#)) && [[ $1 != -* && $1 != *=* ]] || usage
output=$1
shift
here=$(cd "$(dirname "$0")/.." && pwd)
recipe=$here/trainer/recipes/stories260K_w2.yaml
tokens=1e6 tuning_tokens=3e5 rates="1e-3 2e-3 4e-3" seeds="0 1 2"
methods="none complex_phase_v1 complex_phase_v2 complex_phase_v3 bitnet ternary sign2 int2"
scales="tensor row"
train=$here/build/bin/fairy2-train
while (($#)); do
  case $1 in
    recipe=* | tokens=* | tuning_tokens=* | rates=* | seeds=* | methods=* | \
      scales=* | train=*) printf -v "${1%%=*}" '%s' "${1#*=}" ;;
    --)
      shift
      break
      ;;
    *) usage ;;
  esac
  shift
done
[[ -x $train ]] || {
  echo "tools/compare-methods.sh: $train: no such program; build fairy2-train" >&2
  exit 1
}
mkdir -p "$output"
output=$(cd "$output" && pwd)
results=$output/results.tsv
touch "$results"
export OMP_WAIT_POLICY=PASSIVE
cd "$here" # the recipes' paths begin here

# lossOf METHOD SCALES RATE SEED TOKENS [KEY=VALUE ..]: prints the loss, from
# results.tsv or after training.
lossOf() {
  local name="$1 $2 $3 $4 $5" folder="$output/$1-$2-$3-$4-$5" loss
  loss=$(awk -F'\t' -v name="$name" '$1 == name { print $2 }' "$results")
  if [[ -z $loss ]]; then
    echo "training: $name" >&2
    loss=$("$train" "$recipe" "output=$folder" "method=$1" "scales=$2" \
      "train.learning_rate=$3" "seed=$4" "train.tokens=$5" teacher.model= \
      train.validate_every=1e9 "${@:6}" 2>"$folder.log" |
      awk '/^validation loss:/ { print $3 }') || {
      echo "tools/compare-methods.sh: $name failed, see $folder.log" >&2
      exit 1
    }
    printf '%s\t%s\n' "$name" "$loss" >>"$results"
    rm -rf "$folder"
  fi
  echo "$loss"
}

# times RATE FACTOR: as a key of results.tsv, 2e-3 for 0.002.
times() {
  awk "BEGIN { printf \"%.4e\", $1 * $2 }" |
    sed -E 's/\.?0*e/e/; s/e([-+])0/e\1/'
}

# bestRate METHOD SCALES [KEY=VALUE ..]: the rate of the lowest loss.
bestRate() {
  local best='' lowest='' rate loss list=($rates)
  local first=${list[0]} last=${list[-1]} tried=0
  while ((tried < ${#list[@]})); do
    rate=${list[tried++]}
    loss=$(lossOf "$1" "$2" "$rate" "${seeds%% *}" "$tuning_tokens" "${@:3}")
    if [[ -z $best ]] || awk "BEGIN { exit !($loss < $lowest) }"; then
      best=$rate lowest=$loss
    fi
    # One step beyond the end, once.
    if ((tried == $(wc -w <<<"$rates"))); then
      [[ $best != "$first" ]] || list+=("$(times "$first" 0.5)")
      [[ $best != "$last" || $first == "$last" ]] ||
        list+=("$(times "$last" 2)")
    fi
  done
  echo "$best"
}

echo "| method | scales | bits | learning rate | NLL mean | largest - smallest |"
echo "|---|---|---|---|---|---|"
for kind in $scales; do
  for method in $methods; do
    # A method without scales stands in the table once.
    [[ $method != none || $kind == "${scales%% *}" ]] || continue
    bits=$("$train" "$recipe" "method=$method" "scales=$kind" "$@" --dry-run |
      awk '$1 == "bits" { print $2 }')
    rate=$(bestRate "$method" "$kind" "$@")
    for seed in $seeds; do
      lossOf "$method" "$kind" "$rate" "$seed" "$tokens" "$@"
    done | awk -v row="$method | $([[ $method == none ]] || echo "$kind") | $bits | $rate" '
      { sum += $1
        if (NR == 1 || $1 < low) low = $1
        if (NR == 1 || $1 > high) high = $1 }
      END { printf "| %s | %.4f | %.4f |\n", row, sum / NR, high - low }'
  done
done

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Trains one model with every quantization method on equal tokens and with equal
# tuning effort, and prints the table of validation losses as Markdown: each
# method tries the same learning rates at one seed and fewer tokens, and its
# best one then runs with every seed. What is done stands in OUTPUT/results.tsv;
# the same command goes on where it was stopped.
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
train=$here/build/bin/fairy2-train
while (($#)); do
  case $1 in
    recipe=* | tokens=* | tuning_tokens=* | rates=* | seeds=* | methods=* | \
      train=*) printf -v "${1%%=*}" '%s' "${1#*=}" ;;
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

# lossOf METHOD RATE SEED TOKENS [KEY=VALUE ..]: prints the loss, from
# results.tsv or after training.
lossOf() {
  local name="$1 $2 $3 $4" folder="$output/$1-$2-$3-$4" loss
  loss=$(awk -F'\t' -v name="$name" '$1 == name { print $2 }' "$results")
  if [[ -z $loss ]]; then
    echo "training: $name" >&2
    loss=$("$train" "$recipe" "output=$folder" "method=$1" \
      "train.learning_rate=$2" "seed=$3" "train.tokens=$4" teacher.model= \
      train.validate_every=1e9 "${@:5}" 2>"$folder.log" |
      awk '/^validation loss:/ { print $3 }') || {
      echo "tools/compare-methods.sh: $name failed, see $folder.log" >&2
      exit 1
    }
    printf '%s\t%s\n' "$name" "$loss" >>"$results"
    rm -rf "$folder"
  fi
  echo "$loss"
}

echo "| method | learning rate | NLL mean | largest - smallest |"
echo "|---|---|---|---|"
for method in $methods; do
  best='' lowest=''
  for rate in $rates; do
    loss=$(lossOf "$method" "$rate" "${seeds%% *}" "$tuning_tokens" "$@")
    if [[ -z $best ]] || awk "BEGIN { exit !($loss < $lowest) }"; then
      best=$rate lowest=$loss
    fi
  done
  for seed in $seeds; do
    lossOf "$method" "$best" "$seed" "$tokens" "$@"
  done | awk -v method="$method" -v rate="$best" '
    { sum += $1
      if (NR == 1 || $1 < low) low = $1
      if (NR == 1 || $1 > high) high = $1 }
    END { printf "| %s | %s | %.4f | %.4f |\n", method, rate, sum / NR,
          high - low }'
done

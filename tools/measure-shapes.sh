#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The speed table of the README: random models of real shapes, compiled at 2 bits
# and at 1 bit per parameter and with an int8 head, measured on this machine. The
# last column shows whether time grows with the bytes that a token reads. Models
# and libraries stay in FOLDER. Wants idle cores.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: tools/measure-shapes.sh FOLDER CONFIG.json .." >&2
  exit 1
fi
folder=$1
shift
bin=$(cd "$(dirname "$0")/../build/bin" && pwd)
threads=$(seq -s, 1 "$(nproc)")
mkdir -p "$folder"

measure() { # NAME LIBRARY BENCH_OPTIONS..
  "$bin/fairy2-bench" "$2" --threads "$threads" --json "${@:3}" |
    python3 -c '
import json, sys
for row in json.load(sys.stdin)["rows"]:
    rate, megabytes = row["tok_s"]["median"], row["weight_bytes_per_token"] / 1e6
    kind = row["kind"] + (" x%d" % row["batch"] if row.get("batch", 1) > 1 else "") + (
        " @%d" % row["depth"] if row.get("depth") else "")
    share = "%4.0f%%" % (100 * row["bandwidth_fraction"]) if "gb_s" in row else ""
    each = "%6.2f us/MB" % (1e6 / rate / megabytes) if kind == "decode" else ""
    print("%-28s %-13s %d thr %8.1f tok/s %8.1f MB %5s %s" % (
        sys.argv[1], kind, row["threads"], rate, megabytes, share, each))
' "$1"
}

for config in "$@"; do
  name=$(basename "$config" .config.json)
  model=$folder/$name
  [ -d "$model" ] ||
    "$bin/fairy2-synth" --config "$config" -o "$model" --tokenizer bytes >/dev/null
  for scheme in "W2:--stages=2 --lm-head=quantize" \
    "W1:--stages=1 --lm-head=quantize" "W2 int8 head:--lm-head=int8"; do
    library=$model.${scheme%%:*}.so
    # shellcheck disable=SC2086
    [ -f "$library" ] ||
      "$bin/fairy2-compile" "$model" -o "$library" ${scheme#*:} >/dev/null
    measure "$name ${scheme%%:*}" "$library"
  done
done

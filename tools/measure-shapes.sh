#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The speeds in MEASURED.md: random models of real shapes, compiled at 2 bits
# and at 1 bit per parameter and with an int8 head, measured on this machine.
# The last figure of a row shows whether time grows with the bytes that a token
# reads. Models and libraries stay in FOLDER. Wants idle cores.
#
# --append adds a block for this machine to MEASURED.md. Where the limits tool
# is at hand (LIMITS, by default ../shared/tools/limits), the block also holds
# what it finds in the same run.
set -euo pipefail
usage() {
  echo "usage: [LIMITS=FOLDER] tools/measure-shapes.sh [--append]" \
    "FOLDER CONFIG.json .." >&2
  exit 2
}
append=no
if [ "${1:-}" = --append ]; then
  append=yes
  shift
fi
[ $# -ge 2 ] && [[ $1 != -* ]] || usage
folder=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
bin=$root/build/bin
limits=${LIMITS:-$root/../shared/tools/limits}
threads=$(seq -s, 1 "$(nproc)")
mkdir -p "$folder"
results=$(mktemp)
trap 'rm -f "$results"' EXIT

measure() { # SHAPE SCHEME LIBRARY
  "$bin/fairy2-bench" "$3" --threads "$threads" --json |
    python3 -c '
import json, os, sys
shape, scheme, library, results = sys.argv[1:]
rows = json.load(sys.stdin)["rows"]
for row in rows:
    rate = row["tok_s"]["median"]
    megabytes = row["weight_bytes_per_token"] / 1e6
    share = each = ""
    if "gb_s" in row:
        share = "%4.0f%%" % (100 * row["bandwidth_fraction"])
    if row["kind"] == "decode":
        each = "%6.2f us/MB" % (1e6 / rate / megabytes)
    print("%-28s %-8s %d thr %8.1f tok/s %8.1f MB %5s %s" % (
        shape + " " + scheme, row["kind"], row["threads"], rate, megabytes,
        share, each))
with open(results, "a") as file:
    print(json.dumps({"shape": shape, "scheme": scheme, "rows": rows,
                      "bytes": os.path.getsize(library)}), file=file)
' "$1" "$2" "$3" "$results"
}

for config in "$@"; do
  name=$(basename "$config" .config.json)
  model=$folder/$name
  [ -d "$model" ] ||
    "$bin/fairy2-synth" --config "$config" -o "$model" --tokenizer bytes \
      >/dev/null
  for scheme in "W2:--stages=2 --lm-head=quantize" \
    "W1:--stages=1 --lm-head=quantize" \
    "W2 int8 head:--stages=2 --lm-head=int8"; do
    library=$model.${scheme%%:*}.so
    # shellcheck disable=SC2086
    [ -f "$library" ] ||
      "$bin/fairy2-compile" "$model" -o "$library" ${scheme#*:} >/dev/null
    measure "$name" "${scheme%%:*}" "$library"
  done
done
[ $append = yes ] || exit 0

limits_found=
if [ -x "$limits/run.sh" ]; then
  limits_found=$("$limits/run.sh" --json --shape 4096x4096 --shape 11008x4096 \
    --shape 576x1536) || {
    echo "tools/measure-shapes.sh: $limits/run.sh failed;" \
      "the block goes without" >&2
    limits_found=
  }
fi
commit=$(git -C "$root" describe --always --dirty --exclude='*' 2>/dev/null ||
  echo unknown)
shapes=$(printf '%s\n' "$@" | xargs -n1 basename | paste -sd' ')
python3 - "$results" "$threads" "$commit" "$shapes" "$limits_found" \
  >>"$root/MEASURED.md" <<'PYTHON'
import datetime, json, os, sys
results, threads, commit, shapes, limits = sys.argv[1:]


def cpu():
    fields = {}
    with open("/proc/cpuinfo") as file:
        for line in file:
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    return "%s, %s family %s model %s" % tuple(
        fields.get(name, "unknown")
        for name in ("model name", "vendor_id", "cpu family", "model"))


def row(*cells):
    print("|", " | ".join(map(str, cells)), "|")


def header(*cells):
    row(*cells)
    print("|" + "---|" * len(cells))


def over(values):
    return " / ".join("%.*f" % (0 if value >= 100 else 1, value)
                      for value in values)


count = len(os.sched_getaffinity(0))
threads = " / ".join(threads.split(","))
today = datetime.date.today()
print(f"\n### {cpu()}, {count} cores, {today.day} {today:%b %Y}\n")
print(f"`tools/measure-shapes.sh --append FOLDER {shapes}`")
print(f"at commit {commit}; medians, for {threads} threads.\n")
header("shape", "layers", "file", "decode tok/s", "share of the read bandwidth",
       "us per MB read", "prefill tok/s")
with open(results) as file:
    for found in map(json.loads, file):
        decode = [r for r in found["rows"] if r["kind"] == "decode"]
        prefill = [r for r in found["rows"] if r["kind"] == "prefill"]
        row(found["shape"], found["scheme"], "%.0f MB" % (found["bytes"] / 1e6),
            over([r["tok_s"]["median"] for r in decode]),
            over([100 * r["bandwidth_fraction"] for r in decode
                  if "gb_s" in r]) + " %",
            over([1e12 / r["tok_s"]["median"] / r["weight_bytes_per_token"]
                  for r in decode]),
            over([r["tok_s"]["median"] for r in prefill]))
if limits:
    limits = json.loads(limits)
    levels = dict.fromkeys(r["level"] for r in limits["bandwidth"])
    print(f"\nThe limits tool in the same run, 1 / {count} threads:\n")
    header("", *levels)
    row("reads, GB/s", *(over([r["gbps"] for r in limits["bandwidth"]
                               if r["level"] == level])
                         for level in levels))
    for where in dict.fromkeys(r["data_in"] for r in limits["gemv"]):
        shapes = dict.fromkeys((r["out"], r["in"]) for r in limits["gemv"])
        print()
        header("weights in " + where, *("%dx%d" % shape for shape in shapes))
        row("hand-written kernel, us", *(over(
            [r["us"] for r in limits["gemv"] if r["data_in"] == where
             and (r["out"], r["in"]) == shape]) for shape in shapes))
PYTHON
echo "added a block to MEASURED.md"

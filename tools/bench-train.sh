#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tokens per second of a training step at real shapes: fairy2-train with phases
# and without, beside the same model in Python (transformers, torch.compile, fused
# AdamW, bfloat16 on a GPU), one after the other on this machine. Models and runs
# stay in FOLDER. PYTHON names a Python with torch and transformers; without
# it, its row is left out. Figures are medians of the second half of STEPS steps.
set -euo pipefail
usage() {
  echo "usage: [PYTHON=python3] [STEPS=40] [SEQUENCES=8] [LENGTH=2048] tools/bench-train.sh" \
    "--device cpu|cuda FOLDER CONFIG.json .." >&2
  exit 2
}
[ $# -ge 4 ] && [ "$1" = --device ] || usage
device=$2 folder=$3
shift 3
steps=${STEPS:-40} sequences=${SEQUENCES:-8} length=${LENGTH:-2048}
root=$(cd "$(dirname "$0")/.." && pwd)
bin=$root/build/bin
compute=float32
[ "$device" = cpu ] || compute=bfloat16
export OMP_WAIT_POLICY=PASSIVE
mkdir -p "$folder"
cat "$root"/README.md "$root"/*/README.md >"$folder/text.txt"

report() { # NAME METRICS
  python3 -c '
import json, statistics, sys
rates = [line["tokens_per_second"] for line in map(json.loads, open(sys.argv[2]))
         if "tokens_per_second" in line]
print("%-32s %10.0f tok/s" % (sys.argv[1], statistics.median(rates[len(rates) // 2:])))
' "$1" "$2"
}

for config in "$@"; do
  name=$(basename "$config" .config.json)
  model=$folder/$name
  [ -d "$model" ] ||
    "$bin/fairy2-synth" --config "$config" -o "$model" --tokenizer bytes >/dev/null
  for method in complex_phase_v2 none; do
    run=$folder/$name.$method
    rm -rf "$run"
    cat >"$folder/recipe.yaml" <<YAML
model: $model
output: $run
method: $method
data: {train: $folder/text.txt, sequence_length: $length, separator: none}
train:
  tokens: $((steps * sequences * length))
  batch_sequences: $sequences
  learning_rate: 1e-5
  save_every: 0
  device: $device
  compute: $compute
YAML
    "$bin/fairy2-train" "$folder/recipe.yaml" >"$run.log" 2>&1 || {
      tail -1 "$run.log" >&2
      exit 1
    }
    report "$name fairy2-train $method" "$run/metrics.jsonl"
  done
  [ -n "${PYTHON:-}" ] || {
    echo "$name: without PYTHON: torch.compile is not measured"
    continue
  }
  "$PYTHON" - "$model" "$device" "$steps" "$sequences" "$length" >"$folder/$name.torch.jsonl" \
    2>"$folder/$name.torch.log" <<'PYTHON' || { tail -1 "$folder/$name.torch.log" >&2; exit 1; }
import json, sys, time
import torch, transformers
folder, device = sys.argv[1:3]
steps, sequences, length = map(int, sys.argv[3:])
config = transformers.AutoConfig.from_pretrained(folder)
model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).to(device)
model.train()
step_model = torch.compile(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
for step in range(steps):
    begin = time.perf_counter()
    tokens = torch.randint(0, 256, (sequences, length), device=device)
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        loss = step_model(input_ids=tokens, labels=tokens, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    loss.item()
    rate = sequences * length / (time.perf_counter() - begin)
    print(json.dumps({"tokens_per_second": rate}), flush=True)
PYTHON
  report "$name torch.compile" "$folder/$name.torch.jsonl"
done

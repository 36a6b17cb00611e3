# SPDX-License-Identifier: Apache-2.0
#
# usage: make_golden.py INPUTS_DIR
#
# Makes the tiny random Llamas of golden.test, and the logits that Hugging Face
# transformers computes for them in float32. Run by hand when they should
# change, in an environment with torch, transformers, safetensors and numpy:
#   python make_golden.py test/frontend/Inputs
import json
import os
import sys

import numpy
import torch
import transformers
from safetensors.torch import save_file

COMMON = dict(num_hidden_layers=2, vocab_size=40, rms_norm_eps=1e-5,
              bos_token_id=1, eos_token_id=2, max_position_embeddings=128)
MODELS = {
    # Four heads share two key heads, the head is the embedding.
    "golden-tied": (torch.bfloat16, dict(
        hidden_size=24, intermediate_size=36, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="default", rope_theta=500.0))),
    # Biases everywhere, odd extents, Llama 3's stretched frequencies.
    "golden-biased": (torch.float16, dict(
        hidden_size=27, intermediate_size=29, num_attention_heads=3,
        num_key_value_heads=1, head_dim=6, tie_word_embeddings=False,
        attention_bias=True, mlp_bias=True,
        rope_parameters=dict(
            rope_type="llama3", rope_theta=100.0, factor=8.0,
            low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=32))),
}
TOKENS = 34


def make(folder, dtype, settings, seed):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(**COMMON, **settings)
    model = transformers.LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Large enough that softmax and SiLU are far from linear.
            parameter.normal_(0, 0.35)
            if "norm" in name:
                parameter.add_(1)
            # The stored values are the model's.
            parameter.copy_(parameter.to(dtype).float())
    prompt = [(11 * i + i * i) % COMMON["vocab_size"] for i in range(TOKENS)]
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0].numpy()

    os.makedirs(folder, exist_ok=True)
    tensors = {name: value.to(dtype).contiguous()
               for name, value in model.state_dict().items()
               if not (name == "lm_head.weight" and
                       config.tie_word_embeddings)}
    save_file(tensors, os.path.join(folder, "model.safetensors"),
              metadata={"format": "pt"})
    # The form that most checkpoints have: older than rope_parameters.
    rope = dict(settings["rope_parameters"])
    written = dict(COMMON, **settings, architectures=["LlamaForCausalLM"],
                   model_type="llama", hidden_act="silu",
                   torch_dtype=str(dtype).removeprefix("torch."),
                   rope_theta=rope.pop("rope_theta"))
    del written["rope_parameters"]
    if rope["rope_type"] != "default":
        written["rope_scaling"] = rope
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(written, file, indent=2)
        file.write("\n")
    with open(os.path.join(folder, "prompt.txt"), "w") as file:
        file.write(",".join(map(str, prompt)) + "\n")
    numpy.save(os.path.join(folder, "logits.npy"),
               logits.astype(numpy.float32))
    print(folder, "logits of size", abs(logits).max())


def main():
    for seed, (name, (dtype, settings)) in enumerate(MODELS.items()):
        make(os.path.join(sys.argv[1], name), dtype, settings, seed)


main()

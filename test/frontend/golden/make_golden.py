# SPDX-License-Identifier: Apache-2.0
#
# usage: make_golden.py INPUTS_DIR [CASE ..]
#
# Makes the tiny random models of the tests beside this file, and what Hugging
# Face transformers computes for them in float32 from the same config.json. Run
# by hand when they should change, in an environment with torch, transformers,
# safetensors and numpy:
#   python make_golden.py test/frontend/golden/Inputs
# A folder holds config.json, model.safetensors, logits.npy (float32 [prompt,
# vocab]) and golden.json: the ids of the prompt, the greedy ones that follow,
# and the context to run with.
import copy
import json
import os
import sys

import numpy
import torch
import transformers
from safetensors.torch import save_file

# A config.json as hubs have them. `without` are fields whose other value must
# change the logits, or the case would not test them.
LLAMA = dict(
    architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu",
    num_hidden_layers=2, vocab_size=40, rms_norm_eps=1e-5, bos_token_id=1,
    eos_token_id=2, max_position_embeddings=128, hidden_size=24,
    intermediate_size=36, num_attention_heads=4, num_key_value_heads=2,
    head_dim=8, tie_word_embeddings=True, torch_dtype="bfloat16",
    rope_theta=500.0)


def case(config, without=(), prompt=34, tokens=24, context=128):
    return dict(config=config, without=without, prompt=prompt, tokens=tokens,
                context=context)


def rope(**scaling):
    return case(dict(LLAMA, rope_scaling=scaling), [dict(rope_scaling=None)])


def longrope(**fields):
    return dict(
        architectures=["Phi3ForCausalLM"], model_type="phi3",
        auto_map=dict(AutoModelForCausalLM="modeling_phi3.Phi3ForCausalLM"),
        attention_bias=False, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        embd_pdrop=0.0, resid_pdrop=0.0, hidden_act="silu", hidden_size=32,
        intermediate_size=40, max_position_embeddings=128,
        original_max_position_embeddings=32, num_attention_heads=4,
        num_hidden_layers=2, num_key_value_heads=2, rms_norm_eps=1e-5,
        rope_scaling=dict(type="longrope",
                          short_factor=[1.0, 1.1, 1.3, 1.6],
                          long_factor=[1.5, 2.5, 3.5, 4.5]),
        rope_theta=100.0, tie_word_embeddings=False, vocab_size=40,
        sliding_window=None, torch_dtype="bfloat16", **fields)


CASES = {
    # Four heads share two key heads, the head is the embedding.
    "llama": case(LLAMA, [dict(rope_theta=10000.0)]),
    # Biases everywhere, odd extents, Llama 3's stretched frequencies.
    "llama-biased": case(
        dict(LLAMA, torch_dtype="float16", hidden_size=27,
             intermediate_size=29, num_attention_heads=3,
             num_key_value_heads=1, head_dim=6, tie_word_embeddings=False,
             attention_bias=True, mlp_bias=True, rope_theta=100.0,
             rope_scaling=dict(
                 rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                 high_freq_factor=4.0, original_max_position_embeddings=32)),
        [dict(rope_scaling=None)]),
    "rope-linear": rope(type="linear", factor=4.0),
    # Nothing changes up to max_position_embeddings.
    "rope-dynamic": case(dict(LLAMA, rope_scaling=dict(type="dynamic",
                                                       factor=4.0))),
    "rope-yarn": rope(type="yarn", factor=4.0,
                      original_max_position_embeddings=32),
    "rope-yarn-mscale": rope(rope_type="yarn", factor=8.0, beta_fast=8.0,
                             beta_slow=2.0, mscale=1.0, mscale_all_dim=0.5,
                             truncate=False,
                             original_max_position_embeddings=64),
    "mistral": case(
        dict(architectures=["MistralForCausalLM"], model_type="mistral",
             bos_token_id=1, eos_token_id=2, hidden_act="silu", hidden_size=32,
             head_dim=12, intermediate_size=40, max_position_embeddings=128,
             num_attention_heads=4, num_hidden_layers=2,
             num_key_value_heads=2, rms_norm_eps=1e-5, rope_theta=500.0,
             sliding_window=8, tie_word_embeddings=False, vocab_size=40,
             torch_dtype="bfloat16"),
        [dict(sliding_window=None), dict(sliding_window=9)]),
    # The last of three layers has a window.
    "qwen2": case(
        dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2",
             attention_dropout=0.0, bos_token_id=1, eos_token_id=2,
             hidden_act="silu", hidden_size=28, intermediate_size=40,
             max_position_embeddings=128, max_window_layers=2,
             num_attention_heads=2, num_hidden_layers=3,
             num_key_value_heads=1, rms_norm_eps=1e-6, rope_theta=500.0,
             sliding_window=8, use_sliding_window=True,
             tie_word_embeddings=True, vocab_size=40, torch_dtype="bfloat16"),
        [dict(use_sliding_window=False), dict(max_window_layers=1)]),
    "qwen3": case(
        dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3",
             attention_bias=False, attention_dropout=0.0, bos_token_id=1,
             eos_token_id=2, head_dim=12, hidden_act="silu", hidden_size=32,
             intermediate_size=40, max_position_embeddings=128,
             max_window_layers=2, num_attention_heads=4, num_hidden_layers=2,
             num_key_value_heads=2, rms_norm_eps=1e-6, rope_scaling=None,
             rope_theta=500, sliding_window=None, use_sliding_window=False,
             tie_word_embeddings=True, vocab_size=40,
             torch_dtype="bfloat16")),
    # The second and fourth layers have no rotary embedding, but a window.
    "smollm3": case(
        dict(architectures=["SmolLM3ForCausalLM"], model_type="smollm3",
             attention_bias=False, mlp_bias=False, bos_token_id=1,
             eos_token_id=2, hidden_act="silu", hidden_size=32,
             intermediate_size=40, max_position_embeddings=128,
             max_window_layers=28, no_rope_layer_interval=2, pad_token_id=0,
             no_rope_layers=[1, 0, 1, 0], num_attention_heads=4,
             num_hidden_layers=4, num_key_value_heads=2, pretraining_tp=2,
             rms_norm_eps=1e-6, rope_scaling=None, rope_theta=500.0,
             sliding_window=8, use_sliding_window=True, vocab_size=40,
             torch_dtype="bfloat16"),
        [dict(no_rope_layers=[1, 1, 1, 0]), dict(use_sliding_window=False)]),
    # Three quarters of a head are turned.
    "phi3": case(
        dict(longrope(), partial_rotary_factor=0.75, rope_scaling=None,
             num_attention_heads=2, num_key_value_heads=1, sliding_window=8),
        [dict(sliding_window=None)]),
    # More positions than the model was trained for before it was stretched.
    "phi3-long": case(longrope(), [dict(rope_scaling=None)]),
    "phi3-short": case(longrope(), [dict(rope_scaling=None)], prompt=18,
                       tokens=12, context=32),
    # Caps low enough to matter; a root of hidden_size that bfloat16 rounds.
    "gemma2": case(
        dict(architectures=["Gemma2ForCausalLM"], model_type="gemma2",
             attention_bias=False, attention_dropout=0.0,
             attn_logit_softcapping=2.0, bos_token_id=2,
             cache_implementation="hybrid", eos_token_id=1,
             final_logit_softcapping=3.0, head_dim=12,
             hidden_act="gelu_pytorch_tanh",
             hidden_activation="gelu_pytorch_tanh", hidden_size=28,
             intermediate_size=40, max_position_embeddings=128,
             num_attention_heads=4, num_hidden_layers=3,
             num_key_value_heads=2, pad_token_id=0, query_pre_attn_scalar=20,
             rms_norm_eps=1e-6, rope_theta=500.0, sliding_window=8,
             vocab_size=40, torch_dtype="bfloat16"),
        [dict(sliding_window=9), dict(attn_logit_softcapping=None),
         dict(final_logit_softcapping=None),
         dict(query_pre_attn_scalar=12)]),
    "gemma3": case(
        dict(architectures=["Gemma3ForCausalLM"], model_type="gemma3_text",
             attention_bias=False, attn_logit_softcapping=None,
             bos_token_id=2, cache_implementation="hybrid", eos_token_id=1,
             final_logit_softcapping=None, head_dim=12,
             hidden_activation="gelu_pytorch_tanh", hidden_size=28,
             intermediate_size=40, max_position_embeddings=128,
             num_attention_heads=4, num_hidden_layers=4,
             num_key_value_heads=1, pad_token_id=0, query_pre_attn_scalar=20,
             rms_norm_eps=1e-6, rope_local_base_freq=50.0,
             rope_scaling=dict(factor=4.0, rope_type="linear"),
             rope_theta=500.0, sliding_window=8, sliding_window_pattern=3,
             vocab_size=40, torch_dtype="float32"),
        [dict(sliding_window=9), dict(sliding_window_pattern=2),
         dict(rope_scaling=None), dict(rope_local_base_freq=500.0)]),
    "granite": case(
        dict(architectures=["GraniteForCausalLM"], model_type="granite",
             attention_bias=False, attention_dropout=0.1,
             attention_multiplier=0.2, bos_token_id=0,
             embedding_multiplier=3.0, eos_token_id=0, hidden_act="silu",
             hidden_size=32, intermediate_size=40, logits_scaling=2.0,
             max_position_embeddings=128, mlp_bias=False,
             num_attention_heads=4, num_hidden_layers=2,
             num_key_value_heads=2, pad_token_id=0, residual_multiplier=0.4,
             rms_norm_eps=1e-5, rope_scaling=None, rope_theta=500.0,
             tie_word_embeddings=True, vocab_size=40,
             torch_dtype="bfloat16"),
        [dict(attention_multiplier=0.35), dict(embedding_multiplier=1.0),
         dict(logits_scaling=1.0), dict(residual_multiplier=1.0)]),
    "olmo2": case(
        dict(architectures=["Olmo2ForCausalLM"], model_type="olmo2",
             attention_bias=False, attention_dropout=0.0, eos_token_id=2,
             hidden_act="silu", hidden_size=32, intermediate_size=40,
             max_position_embeddings=128, num_attention_heads=4,
             num_hidden_layers=2, num_key_value_heads=2, pad_token_id=1,
             rms_norm_eps=1e-6, rope_scaling=None, rope_theta=500.0,
             tie_word_embeddings=False, vocab_size=40,
             torch_dtype="bfloat16")),
}


def build(config, state=None):
    """The model that transformers makes of a config.json, in float32."""
    config = transformers.AutoConfig.for_model(**copy.deepcopy(config))
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(
        config, dtype=torch.float32).eval()
    if state:
        model.load_state_dict(state)
    return model


def randomize(model, dtype, seed):
    torch.manual_seed(seed)
    isGemma = "Gemma" in type(model).__name__
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Large enough that softmax and gates are far from linear.
            parameter.normal_(0, 0.35)
            if "norm" in name and not isGemma:
                parameter.add_(1)
            # The stored values are the model's.
            parameter.copy_(parameter.to(dtype).float())


def roundScale(model, dtype):
    # A Gemma in its stored type rounds the factor of its embedding to it.
    for module in model.modules():
        if hasattr(module, "embed_scale"):
            module.embed_scale.copy_(module.embed_scale.to(dtype).float())


def logitsOf(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0].numpy()


def smallestMargin(logits):
    best = numpy.sort(logits, axis=1)
    return (best[:, -1] - best[:, -2]).min() / abs(logits).max()


def golden(case, dtype, seed):
    """Model, prompt's logits and all ids, or nothing where a likeliest token
    is hardly likelier than the next."""
    model = build(case["config"])
    randomize(model, dtype, seed)
    roundScale(model, dtype)
    vocab = case["config"]["vocab_size"]
    ids = [(11 * i + i * i) % vocab for i in range(case["prompt"])]
    prompt = logits = logitsOf(model, ids)
    for _ in range(case["tokens"]):
        ids.append(int(logits[-1].argmax()))
        logits = logitsOf(model, ids)
    return (model, prompt, ids) if smallestMargin(logits) > 3e-4 else None


def make(folder, case):
    dtype = getattr(torch, case["config"]["torch_dtype"])
    found, seed = None, 0
    while not found:
        found, seed = golden(case, dtype, seed), seed + 1
    model, logits, ids = found
    for change in case["without"]:
        other = build({**case["config"], **change}, model.state_dict())
        roundScale(other, dtype)
        difference = abs(logitsOf(other, ids[:len(logits)]) - logits).max()
        if difference < 0.01 * abs(logits).max():
            sys.exit(f"{folder}: {change} changes nothing")

    os.makedirs(folder, exist_ok=True)
    ties = model.config.tie_word_embeddings
    save_file({name: value.to(dtype).contiguous()
               for name, value in model.state_dict().items()
               if not (ties and name == "lm_head.weight")},
              os.path.join(folder, "model.safetensors"),
              metadata={"format": "pt"})
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(case["config"], file, indent=2)
        file.write("\n")
    with open(os.path.join(folder, "golden.json"), "w") as file:
        json.dump(dict(context=case["context"], prompt=ids[:case["prompt"]],
                       greedy=ids[case["prompt"]:]), file)
        file.write("\n")
    numpy.save(os.path.join(folder, "logits.npy"),
               logits.astype(numpy.float32))
    print(f"{os.path.basename(folder)}: logits up to {abs(logits).max():.2f}, "
          f"seed {seed - 1}")


def main():
    for name in sys.argv[2:] or CASES:
        make(os.path.join(sys.argv[1], name), CASES[name])


main()

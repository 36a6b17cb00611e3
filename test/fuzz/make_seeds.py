# SPDX-License-Identifier: Apache-2.0
#
# Writes seeds/config and seeds/safetensors: small inputs that reach as many
# branches as possible. (seeds/tokenizer: unit/tokenizer/make_fixtures.py.)
import json
import pathlib
import struct

SEEDS = pathlib.Path(__file__).resolve().parent / "seeds"

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "rope_scaling": None, "hidden_act": "silu",
    "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False,
    "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16"}


def configs():
    yield "llama", LLAMA
    yield "biased", dict(LLAMA, attention_bias=True, mlp_bias=True,
                         head_dim=32, eos_token_id=[2, 7],
                         tie_word_embeddings=True)
    for kind, more in [
            ("linear", {"factor": 4.0}),
            ("dynamic", {"factor": 2.0}),
            ("llama3", {"factor": 8.0, "low_freq_factor": 1.0,
                        "high_freq_factor": 4.0,
                        "original_max_position_embeddings": 128}),
            ("yarn", {"factor": 4.0, "original_max_position_embeddings": 128,
                      "beta_fast": 32, "beta_slow": 1,
                      "attention_factor": 1.1}),
            ("longrope", {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8,
                          "original_max_position_embeddings": 128})]:
        yield kind, dict(LLAMA, rope_scaling={"rope_type": kind, **more})
    yield "mistral", dict(LLAMA, architectures=["MistralForCausalLM"],
                          model_type="mistral", sliding_window=64)
    yield "qwen2", dict(LLAMA, architectures=["Qwen2ForCausalLM"],
                        model_type="qwen2", use_sliding_window=False,
                        sliding_window=64, max_window_layers=1)
    yield "qwen3", dict(LLAMA, architectures=["Qwen3ForCausalLM"],
                        model_type="qwen3", head_dim=32,
                        layer_types=["full_attention"] * 2)
    yield "smollm3", dict(LLAMA, architectures=["SmolLM3ForCausalLM"],
                          model_type="smollm3", no_rope_layers=[1, 0],
                          no_rope_layer_interval=4)
    yield "phi3", dict(LLAMA, architectures=["Phi3ForCausalLM"],
                       model_type="phi3", partial_rotary_factor=1.0,
                       original_max_position_embeddings=128)
    yield "gemma2", dict(LLAMA, architectures=["Gemma2ForCausalLM"],
                         model_type="gemma2", head_dim=16,
                         hidden_activation="gelu_pytorch_tanh",
                         query_pre_attn_scalar=16,
                         attn_logit_softcapping=50.0,
                         final_logit_softcapping=30.0, sliding_window=64)
    yield "gemma3", dict(LLAMA, architectures=["Gemma3ForCausalLM"],
                         model_type="gemma3_text", head_dim=16,
                         hidden_activation="gelu_pytorch_tanh",
                         query_pre_attn_scalar=16, sliding_window=64,
                         sliding_window_pattern=2,
                         rope_local_base_freq=10000.0)
    yield "granite", dict(LLAMA, architectures=["GraniteForCausalLM"],
                          model_type="granite", embedding_multiplier=12.0,
                          residual_multiplier=0.22, logits_scaling=8.0,
                          attention_multiplier=0.015)
    yield "olmo2", dict(LLAMA, architectures=["Olmo2ForCausalLM"],
                        model_type="olmo2")


def file_of(header, data=b""):
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors():
    two = {"__metadata__": {"format": "pt"},
           "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
           "b.weight": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}}
    other = {"x": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
             "none": {"dtype": "F16", "shape": [0, 5], "data_offsets": [8, 8]},
             "one": {"dtype": "C64", "shape": [], "data_offsets": [8, 16]}}
    for name, header, size in [("two", two, 32), ("other", other, 16)]:
        yield "header-" + name, struct.pack("<H", size) + file_of(header)[8:]
    yield "file", b"F" + file_of(two, bytes(range(32)))
    index = {"metadata": {"total_size": 32},
             "weight_map": {"a": "a", "b.weight": "a"}}
    yield "sharded", (b"F" + json.dumps(index).encode() + b"\0" +
                      file_of(two, bytes(range(32))))
    yield "pickle", b"FPK\x03\x04" + bytes(26)
    yield "gguf", b"FGGUF" + bytes(20)


def main():
    for folder, files in [("config", [(name + ".json", json.dumps(c).encode())
                                      for name, c in configs()]),
                          ("safetensors", safetensors())]:
        (SEEDS / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files:
            (SEEDS / folder / name).write_bytes(content)


main()

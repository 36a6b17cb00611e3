// SPDX-License-Identifier: Apache-2.0
//
// The fields that nobody reads: those that would change the computation of
// another model, and those that change none.
#include "frontend/ConfigFields.h"

#include <algorithm>
#include <iterator>

namespace fairy2 {

using nlohmann::json;

namespace {

/// Fields of other models, each with the one JSON value that changes nothing;
/// null does not either, and is the only one where nothing is given.
struct ForeignField {
  std::string_view name;
  const char *neutral = "null";
};
constexpr ForeignField kForeignFields[] = {
    // Other attention.
    {"add_cross_attention", "false"},
    {"alibi", "false"},
    {"attention_chunk_size"},
    {"attn_logit_softcapping"},
    {"attn_temperature_tuning", "false"},
    {"clip_qkv"},
    {"cross_attention_layers", "[]"},
    {"is_causal", "true"},
    {"is_encoder_decoder", "false"},
    {"kv_lora_rank"},
    {"q_lora_rank"},
    {"qk_layernorm", "false"},
    {"qk_norm", "false"},
    {"query_pre_attn_scalar"},
    {"sliding_window"},
    {"sliding_window_pattern"},
    {"use_bidirectional_attention", "false"},
    {"use_qk_norm", "false"},
    {"use_sliding_window", "false"},
    // Other rotary embeddings.
    {"no_rope_layer_interval"},
    {"no_rope_layers", "[]"},
    {"partial_rotary_factor", "1"},
    {"rope_interleave", "false"},
    {"rope_interleaved", "false"},
    {"rope_local_base_freq"},
    {"rotary_dim"},
    {"rotary_pct", "1"},
    {"use_mrope", "false"},
    // Other scales.
    {"attention_multiplier"},
    {"dim_model_base"},
    {"embedding_multiplier", "1"},
    {"final_logit_softcapping"},
    {"logit_scale", "1"},
    {"logits_scaling", "1"},
    {"residual_multiplier", "1"},
    {"scale_depth"},
    {"scale_emb", "1"},
    // Experts.
    {"first_k_dense_replace"},
    {"mlp_only_layers", "[]"},
    {"moe_intermediate_size"},
    {"n_routed_experts", "0"},
    {"num_experts", "0"},
    {"num_experts_per_tok", "0"},
    {"num_local_experts", "0"},
    // Other blocks.
    {"activation_function", "\"silu\""},
    {"audio_config"},
    {"bias", "false"},
    {"hidden_activation", "\"silu\""},
    {"lm_head_bias", "false"},
    {"parallel_attn", "false"},
    {"text_config"},
    {"use_bias", "false"},
    {"use_parallel_residual", "false"},
    {"vision_config"},
};

/// What models do not ask when they compute: training, files, generation (our
/// own options decide that), and remarks of tools.
constexpr std::string_view kHarmlessFields[] = {
    // Training.
    "attention_dropout",
    "attn_pdrop",
    "classifier_dropout",
    "dropout",
    "embd_pdrop",
    "embedding_dropout",
    "finetuning_task",
    "gradient_checkpointing",
    "hidden_dropout",
    "hidden_dropout_prob",
    "initializer_range",
    "neftune_noise_alpha",
    "pretraining_tp",
    "resid_pdrop",
    "residual_dropout",
    // How transformers runs it, and what it returns.
    "attn_implementation",
    "cache_implementation",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "flash_attn",
    "is_decoder",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "problem_type",
    "pruned_heads",
    "remove_invalid_values",
    "return_dict",
    "return_dict_in_generate",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "torchscript",
    "use_bfloat16",
    "use_cache",
    "use_flash_attention_2",
    // Generation and tokens.
    "bad_words_ids",
    "begin_suppress_tokens",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_p",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "pad_token_id",
    "prefix",
    "repetition_penalty",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tokenizer_class",
    "top_k",
    "top_p",
    "typical_p",
    // Where it comes from, and tools' own.
    "attention_sink_size",
    "auto_map",
    "base_model_name_or_path",
    "context_window_size",
    "full_attn_mod",
    "id2label",
    "interpolate_factor",
    "is_llama_config",
    "label2id",
    "license",
    "max_batch_size",
    "max_sequence_length",
    "max_window_layers",
    "model_max_length",
    "name",
    "name_or_path",
    "prefill_chunk_size",
    "sliding_window_size",
    "tensor_parallel_shards",
    "tokenizer_model_max_length",
    "tokenizer_padding_side",
    "transformers.js_config",
    "transformers_version",
};

bool isIn(const auto &list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

/// Names that their writers keep for themselves.
bool isPrivate(std::string_view name) {
  return name.starts_with("_") || name.starts_with("unsloth_");
}

const ForeignField *findForeign(std::string_view name) {
  for (const ForeignField &field : kForeignFields)
    if (field.name == name)
      return &field;
  return nullptr;
}

void refuseCode(const JsonObject &config, const Architecture &architecture) {
  const auto autoMap = config.object("auto_map");
  if (!autoMap || !autoMap->find("AutoModelForCausalLM"))
    return;
  // transformers takes its own class of that name, unless told to trust the
  // file's.
  const std::string code = autoMap->string("AutoModelForCausalLM");
  if (code.substr(code.rfind('.') + 1) != architecture.name)
    autoMap->fail("AutoModelForCausalLM",
                  "names model code of its own, which is never run: " +
                      describe(code));
}

} // namespace

void refuseOtherPrograms(const JsonObject &config,
                         const Architecture &architecture) {
  for (const char *field : {"quantization_config", "quantization"})
    if (config.find(field))
      config.fail(field, "the weights are quantized already; expected a "
                         "checkpoint in F32, F16 or BF16");
  refuseCode(config, architecture);
}

std::vector<std::string> checkFields(const JsonObject &config,
                                     const Architecture &architecture,
                                     bool allowsUnknown) {
  std::vector<std::string> unknown;
  for (const auto &[name, value] : config.value().items()) {
    if (value.is_null() || config.wasAsked(name) ||
        isIn(kHarmlessFields, name) || isIn(architecture.ignored, name) ||
        isPrivate(name))
      continue;
    const ForeignField *foreign = findForeign(name);
    if (!foreign && !allowsUnknown)
      config.fail(name, kUnknownField);
    if (!foreign) {
      unknown.push_back(name);
      continue;
    }
    const json neutral = json::parse(foreign->neutral);
    if (value == neutral)
      continue;
    const std::string place =
        std::string(" supported in ") + architecture.name + ", found ";
    config.fail(name, (neutral.is_null()
                           ? "is not"
                           : "only " + std::string(foreign->neutral) + " is") +
                          place + describe(value));
  }
  return unknown;
}

} // namespace fairy2

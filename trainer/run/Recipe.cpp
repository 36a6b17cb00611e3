// SPDX-License-Identifier: Apache-2.0
//
// The table of keys: name, kind, limits and where the value goes.
#include "trainer/run/Recipe.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/support/Utf8.h"
#include "runtime/support/Words.h"
#include "trainer/methods/Methods.h"
#include "trainer/optimize/OptimizerTable.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

namespace fairy2::trainer {
namespace {

/// One key: how to set it from YAML and how to print it.
struct Key {
  std::string name;
  std::string expected;
  std::function<bool(const YAML::Node &)> set;
  std::function<nlohmann::ordered_json()> get;
};

/// What the JSON of metrics can hold, and a file have as its name. Throws
/// YAML::Exception.
std::string plainText(const YAML::Node &node) {
  auto text = node.as<std::string>();
  if (!isValidUtf8(text) || text.find('\0') != std::string::npos)
    throw YAML::RepresentationException(node.Mark(), "not plain text");
  return text;
}

Key text(std::string name, std::string &value) {
  return {std::move(name), "text in UTF-8",
          [&value](const YAML::Node &node) {
            value = node.IsNull() ? "" : plainText(node);
            return true;
          },
          [&value] { return value; }};
}

Key choice(std::string name, std::string &value,
           std::vector<std::string> choices) {
  return {std::move(name), "one of " + joined(choices),
          [&value, choices](const YAML::Node &node) {
            value = node.as<std::string>();
            return std::find(choices.begin(), choices.end(), value) !=
                   choices.end();
          },
          [&value] { return value; }};
}

Key flag(std::string name, bool &value) {
  return {std::move(name), "true or false",
          [&value](const YAML::Node &node) {
            value = node.as<bool>();
            return true;
          },
          [&value] { return value; }};
}

Key integer(std::string name, int64_t &value, int64_t low, int64_t high) {
  return {std::move(name),
          "an integer from " + std::to_string(low) + " to " +
              std::to_string(high),
          [&value, low, high](const YAML::Node &node) {
            // 3e6 is a number of tokens to people.
            const auto number = node.as<double>();
            if (!(number >= double(low) && number <= double(high)) ||
                number != std::floor(number))
              return false;
            value = int64_t(number);
            return true;
          },
          [&value] { return value; }};
}

Key number(std::string name, double &value, double low, double high) {
  return {std::move(name),
          "a number from " + nlohmann::json(low).dump() + " to " +
              nlohmann::json(high).dump(),
          [&value, low, high](const YAML::Node &node) {
            value = node.as<double>();
            return value >= low && value <= high;
          },
          [&value] { return value; }};
}

/// Reads {path, weight, where}, each at most once; false for anything else.
bool setFields(DataSource &source, const YAML::Node &item) {
  if (!item.IsMap() || !item["path"])
    return false;
  std::set<std::string> seen;
  for (const auto &entry : item) {
    const std::string field = plainText(entry.first);
    if (!seen.insert(field).second)
      return false;
    if (field == "path")
      source.path = plainText(entry.second);
    else if (field == "weight")
      source.weight = entry.second.as<double>();
    else if (field == "where" && entry.second.IsMap())
      for (const auto &condition : entry.second)
        source.where[plainText(condition.first)] = plainText(condition.second);
    else
      return false;
  }
  return true;
}

Key sources(std::string name, std::vector<DataSource> &value) {
  return {std::move(name), "a list of paths or of {path, weight, where}",
          [&value](const YAML::Node &node) {
            value.clear();
            if (node.IsScalar()) {
              value.push_back({plainText(node), 1, {}});
              return true;
            }
            if (!node.IsSequence())
              return false;
            for (const YAML::Node &item : node) {
              DataSource source;
              if (item.IsScalar()) {
                source.path = plainText(item);
              } else if (!setFields(source, item)) {
                return false;
              }
              if (!(source.weight > 0 && std::isfinite(source.weight)))
                return false;
              value.push_back(std::move(source));
            }
            return true;
          },
          [&value] {
            nlohmann::ordered_json list = nlohmann::ordered_json::array();
            for (const DataSource &source : value)
              list.push_back({{"path", source.path},
                              {"weight", source.weight},
                              {"where", source.where}});
            return list;
          }};
}

Key pairs(std::string name, std::vector<std::pair<double, double>> &value) {
  return {std::move(name),
          "a list of [fraction of the steps, factor], fractions rising from 0 "
          "to 1",
          [&value](const YAML::Node &node) {
            value.clear();
            if (!node.IsSequence())
              return false;
            for (const YAML::Node &item : node) {
              if (!item.IsSequence() || item.size() != 2)
                return false;
              value.emplace_back(item[0].as<double>(), item[1].as<double>());
              const auto &[at, factor] = value.back();
              if (!(at >= 0 && at <= 1 && factor >= 0 && factor <= 1) ||
                  (value.size() > 1 && at <= value[value.size() - 2].first))
                return false;
            }
            return true;
          },
          [&value] { return nlohmann::ordered_json(value); }};
}

std::vector<Key> keysOf(Recipe &r) {
  constexpr int64_t kMany = int64_t(1) << 50;
  return {
      text("model", r.model),
      text("initialize", r.initialize),
      text("output", r.output),
      choice("method", r.method, methodNames()),
      choice("scales", r.scales, {"tensor", "row", "tile"}),
      choice("stage_scales", r.stageScales, {"mean", "binary"}),
      choice("scale_grid", r.scaleGrid, {"auto", "int8", "float"}),
      flag("quantize_activations", r.quantizeActivations),
      flag("skip_lm_head", r.skipLmHead),
      integer("seed", r.seed, 0, kMany),
      sources("data.train", r.data.train),
      text("data.validation", r.data.validation),
      integer("data.validation_pieces", r.data.validationPieces, 0, kMany),
      text("data.text_field", r.data.textField),
      integer("data.sequence_length", r.data.sequenceLength, 2, 1 << 20),
      choice("data.separator", r.data.separator,
             {"none", "bos", "eos", "both", "blank_line"}),
      choice("data.special_tokens", r.data.specialTokens, {"parse", "text"}),
      flag("data.document_mask", r.data.documentMask),
      integer("train.tokens", r.train.tokens, 1, kMany),
      integer("train.batch_sequences", r.train.batchSequences, 1, 1 << 16),
      integer("train.accumulation", r.train.accumulation, 1, 1 << 16),
      choice("train.optimizer", r.train.optimizer, optimizerNames()),
      number("train.learning_rate", r.train.learningRate, 0, 10),
      number("train.beta1", r.train.beta1, 0, 0.99999),
      number("train.beta2", r.train.beta2, 0, 0.9999999),
      number("train.epsilon", r.train.epsilon, 1e-16, 1),
      number("train.weight_decay", r.train.weightDecay, 0, 10),
      number("train.clip", r.train.clip, 0, 1e9),
      choice("train.schedule", r.train.schedule,
             {"cosine", "wsd", "piecewise"}),
      number("train.warmup", r.train.warmup, 0, 1),
      number("train.decay", r.train.decay, 0, 1),
      number("train.final_factor", r.train.finalFactor, 0, 1),
      pairs("train.pieces", r.train.pieces),
      integer("train.quantize_warmup", r.train.quantizeWarmup, 0, kMany),
      number("train.anneal", r.train.anneal, 0, 1),
      number("train.dampening", r.train.dampening, 0, 1000),
      choice("train.sharding", r.train.sharding, {"none", "zero1", "zero3"}),
      flag("train.recompute", r.train.recompute),
      choice("train.compute", r.train.compute, {"float32", "bfloat16"}),
      choice("train.device", r.train.device, {"cpu", "cuda"}),
      integer("train.validate_every", r.train.validateEvery, 1, kMany),
      integer("train.save_every", r.train.saveEvery, 0, kMany),
      integer("train.keep_last", r.train.keepLast, 1, 1000),
      integer("train.max_bad_steps", r.train.maxBadSteps, 1, kMany),
      text("teacher.model", r.teacher.model),
      number("teacher.weight", r.teacher.weight, 0, 1),
      number("teacher.temperature", r.teacher.temperature, 0.1, 100),
      choice("export.form", r.exportOptions.form,
             {"latents", "dense", "packed"}),
      choice("export.type", r.exportOptions.type, {"F32", "BF16", "F16"}),
  };
}

class Reader {
public:
  explicit Reader(Recipe &recipe) : keys(keysOf(recipe)) {}

  /// Sets every leaf below `node`, each once; `origin` names the file or
  /// override.
  void read(const YAML::Node &node, const std::string &prefix,
            const std::string &origin) {
    seen.clear();
    apply(node, prefix, origin);
  }

private:
  void apply(const YAML::Node &node, const std::string &prefix,
             const std::string &origin) {
    for (const Key &key : keys)
      if (key.name == prefix) {
        if (!seen.insert(key.name).second)
          throw Error(origin + ": key '" + key.name + "' is there twice");
        set(key, node, origin);
        return;
      }
    // A map that holds itself ends here as well.
    if (!node.IsMap() || !isGroup(prefix))
      failUnknown(prefix, origin);
    for (const auto &entry : node) {
      if (!entry.first.IsScalar())
        throw Error(origin + ": expected a name before a colon, found " +
                    quoteName(YAML::Dump(entry.first)));
      const std::string &name = entry.first.Scalar();
      apply(entry.second, prefix.empty() ? name : prefix + "." + name, origin);
    }
  }

  void set(const Key &key, const YAML::Node &node, const std::string &origin) {
    bool good = false;
    try {
      good = key.set(node);
    } catch (const YAML::Exception &) {
      // Wrong kind of value; said below.
    }
    if (!good)
      throw Error(origin + ": key '" + key.name + "': expected " +
                  key.expected + ", found " +
                  (node.IsScalar() ? quoteName(node.Scalar())
                                   : quoteName(YAML::Dump(node))));
  }

  /// Whether keys begin with `prefix` and a dot.
  bool isGroup(const std::string &prefix) const {
    return prefix.empty() ||
           std::any_of(keys.begin(), keys.end(), [&](const Key &key) {
             return key.name.starts_with(prefix + ".");
           });
  }

  [[noreturn]] void failUnknown(const std::string &name,
                                const std::string &origin) const {
    std::vector<std::string> names;
    for (const Key &key : keys)
      names.push_back(key.name);
    throw Error(origin + ": unknown key " + quoteName(name) +
                didYouMean(name, names));
  }

  std::vector<Key> keys;
  std::set<std::string> seen;
};

YAML::Node parse(const std::string &text, const std::string &origin) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1)
      throw Error(origin + ": expected one YAML document, found " +
                  std::to_string(documents.size()));
    return documents.empty() ? YAML::Node() : documents[0];
  } catch (const YAML::Exception &error) {
    throw Error(origin + ": not YAML: " + error.what());
  }
}

void checkAnnealing(const Recipe &recipe, const std::string &origin) {
  const std::string key = origin + ": key 'train.anneal': expected 0 ";
  const std::unique_ptr<Method> method = recipe.quantizationMethod();
  if (!method || !method->phaseScheme())
    throw Error(key + "with method " + recipe.method +
                ", whose codes do not soften");
  if (!method->softened(1))
    throw Error(key + "where stage scales are " + recipe.stageScales +
                " on the grid " + nameOf(method->phaseScheme()->grid) +
                ", whose codes do not soften");
  if (recipe.train.device != "cpu")
    throw Error(key + "where train.device is " + recipe.train.device +
                ", for which soft codes are not here yet");
}

/// What the keys' own ranges cannot say.
void check(const Recipe &recipe, const std::string &origin) {
  const auto need = [&](bool there, const char *key) {
    if (!there)
      throw Error(origin + ": key '" + key + "' is missing");
  };
  need(!recipe.model.empty(), "model");
  need(!recipe.output.empty(), "output");
  need(!recipe.data.train.empty(), "data.train");
  need(recipe.train.tokens > 0, "train.tokens");
  const std::string &separator = recipe.data.separator;
  if (recipe.data.documentMask &&
      (separator == "none" || separator == "blank_line"))
    throw Error(origin +
                ": key 'data.document_mask': expected false where "
                "data.separator is " +
                separator + ", found true");
  try {
    recipe.quantizationMethod();
  } catch (const Error &error) {
    throw Error(origin + ": " + error.what());
  }
  if (recipe.train.anneal > 0)
    checkAnnealing(recipe, origin);
  if (recipe.train.schedule == "piecewise")
    need(!recipe.train.pieces.empty(), "train.pieces");
}

} // namespace

Recipe Recipe::read(const std::filesystem::path &file,
                    const std::vector<std::string> &overrides) {
  constexpr int64_t kMostBytes = int64_t(1) << 20;
  Recipe recipe;
  Reader reader(recipe);
  const YAML::Node root = parse(readTextFile(file, kMostBytes), file.string());
  if (!root.IsMap())
    throw Error(file.string() + ": expected keys and values");
  reader.read(root, "", file.string());
  for (const std::string &override : overrides) {
    const size_t equals = override.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error("overrides: expected key=value, found '" + override + "'");
    reader.read(parse(override.substr(equals + 1), override),
                override.substr(0, equals), override);
  }
  check(recipe, file.string());
  return recipe;
}

nlohmann::ordered_json Recipe::toJson() const {
  // keysOf() takes a mutable recipe, to set; only get() is used here.
  Recipe copy = *this;
  nlohmann::ordered_json json;
  for (const Key &key : keysOf(copy))
    json[key.name] = key.get();
  return json;
}

} // namespace fairy2::trainer

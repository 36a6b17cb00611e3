// SPDX-License-Identifier: Apache-2.0
//
// An opened model.so: checked, mapped and loaded. Immutable, so that any number
// of sessions and threads may share it.
#pragma once

#include "runtime/ChatTemplate.h"
#include "runtime/Manifest.h"
#include "runtime/include/fairy2/abi.h"
#include "runtime/support/File.h"
#include "runtime/text/Tokenizer.h"

#include <memory>
#include <mutex>
#include <span>
#include <string>

namespace fairy2 {

class Model {
public:
  /// Opens the file: manifest, machine, a variant this CPU can run, hashes of
  /// the whole content, and only then the code. The environment variable
  /// FAIRY2_ISA forces a variant by name. Throws StatusError naming the file.
  static std::shared_ptr<const Model> open(const std::string &path);
  ~Model();
  Model(const Model &) = delete;
  Model &operator=(const Model &) = delete;

  const std::string &path() const { return origin; }
  const Manifest &manifest() const { return description; }
  /// The variant in use.
  const Variant &variant() const { return *chosen; }
  Fairy2Forward forward() const { return function; }
  /// The open file, and where its weights lie in it.
  const InputFile &file() const { return opened; }

  bool hasTokenizer() const { return description.tokenizer.has_value(); }
  /// Built on first use. Throws StatusError when the model has none.
  const Tokenizer &tokenizer() const;
  /// The same for the model's way of writing conversations.
  const ChatTemplate &chatTemplate() const;

private:
  Model() = default;
  void load();

  std::string origin;
  Manifest description;
  const Variant *chosen = nullptr;
  void *library = nullptr;
  Fairy2Forward function = nullptr;
  InputFile opened;
  mutable std::mutex onDemandMutex;
  mutable std::unique_ptr<Tokenizer> tokenizerOnDemand;
  mutable std::unique_ptr<ChatTemplate> chatTemplateOnDemand;
};

} // namespace fairy2

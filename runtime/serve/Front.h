// SPDX-License-Identifier: Apache-2.0
//
// From a request's body to the sequences that answer it: template and
// tokenizer. Everything here runs on the front thread.
#pragma once

#include "runtime/serve/Engine.h"
#include "runtime/serve/GenerationRequest.h"

#include <memory>
#include <string>
#include <vector>

namespace fairy2::serve {

/// A request that the engine can begin.
struct Prepared {
  std::shared_ptr<Job> job;
  GenerationRequest request;
  size_t promptTokens = 0;
};

class Front {
public:
  /// Builds the model's tokenizer and template, which takes time once.
  Front(const Session &session, Engine &engine, std::string modelId);

  /// Fills `job`. These throw ApiError.
  Prepared completions(const std::string &body, std::shared_ptr<Job> job);
  Prepared chat(const std::string &body, std::shared_ptr<Job> job);
  /// JSON of the replies.
  std::string tokenize(const std::string &body) const;
  std::string detokenize(const std::string &body) const;
  std::string tokenizerInfo() const;

private:
  const Tokenizer &tokenizer() const;
  void checkModel(const GenerationRequest &request) const;
  void addSequences(Prepared &prepared, std::vector<int32_t> prompt,
                    const std::string &field);
  /// Errors of the runtime begin with the model's path, which is nobody's
  /// business.
  std::string withoutPath(const std::string &message) const;

  const Session &session;
  Engine &engine;
  const std::string modelId;
  const RequestBounds bounds;
};

} // namespace fairy2::serve

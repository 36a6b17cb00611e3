// SPDX-License-Identifier: Apache-2.0
//
// From a request's body to the sequences that answer it: template and
// tokenizer. Everything here runs on the front thread.
#pragma once

#include "runtime/serve/CompletionsRequest.h"
#include "runtime/serve/Engine.h"

#include <memory>
#include <string>
#include <vector>

namespace fairy2::serve {

/// A prompt as its echo tells it.
struct EchoedPrompt {
  std::vector<int32_t> ids;
  size_t hidden = 0; ///< of the ids, at their beginning
  std::string text;
  std::vector<size_t> offsets; ///< where each id begins in the text
};

/// A request that the engine can begin.
struct Prepared {
  std::shared_ptr<Job> job;
  GenerationRequest request;
  size_t promptTokens = 0;
  std::vector<EchoedPrompt> echoes = {}; ///< one for each prompt, or none
  const Tokenizer *tokenizer = nullptr;  ///< if the model has one
};

class Front {
public:
  /// Builds the model's tokenizer and template, which takes time once.
  /// `bosForIds`: prompts of ids that lack it get an unseen BOS. Throws Error
  /// when the model has none.
  Front(const Session &session, Engine &engine, std::string modelId,
        bool bosForIds);

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
  /// The ids of a prompt, and how many of them nobody sees.
  std::pair<std::vector<int32_t>, size_t> idsOf(const Prompt &prompt,
                                                bool addsSpecial) const;
  EchoedPrompt echoOf(const Prompt &prompt, const std::vector<int32_t> &ids,
                      size_t hidden, bool addsSpecial) const;
  /// Errors of the runtime begin with the model's path, which is nobody's
  /// business.
  std::string withoutPath(const std::string &message) const;

  const Session &session;
  Engine &engine;
  const std::string modelId;
  const RequestBounds bounds;
  std::optional<int32_t> bosForIds;
};

} // namespace fairy2::serve

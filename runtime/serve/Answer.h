// SPDX-License-Identifier: Apache-2.0
//
// One request for text on its way: what the engine tells of it becomes its
// reply. Everything here runs on the I/O thread.
#pragma once

#include "runtime/serve/ApiError.h"
#include "runtime/serve/Engine.h"
#include "runtime/serve/Front.h"
#include "runtime/serve/Http.h"
#include "runtime/serve/Replies.h"
#include "runtime/serve/Scores.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fairy2::serve {

class Answer {
public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  /// `later` replies with the JSON that a function makes on another thread.
  Answer(std::shared_ptr<Exchange> exchange, std::shared_ptr<Job> job,
         Fields fields, std::function<void(std::function<std::string()>)> later)
      : exchange(std::move(exchange)), job(std::move(job)),
        fields(std::move(fields)), later(std::move(later)) {}

  /// The engine has it; a stream begins.
  void begin(Prepared prepared, ReplyHead head);
  /// Returns whether it was the last event.
  bool take(const Event &event);
  /// Ends it by an error: as a reply, or in the midst of a stream as an event.
  void fail(const ApiError &error);
  /// Nobody waits for it any more.
  void cancel() { job->isCancelled = true; }
  void pause(bool isSlow) { job->isPaused = isSlow; }
  /// Keeps a silent stream alive.
  void beat();
  size_t sequences() const { return texts.empty() ? 1 : texts.size(); }

private:
  /// A text on its way.
  struct Text {
    Choice choice;
    std::optional<Offsets> offsets = {}; ///< of generated tokens
    ScoreArrays arrays = {};
    ScoreList list = {};
    size_t scores = 0;        ///< that came
    size_t codePoints = 0;    ///< of what was generated
    bool showsPrompt = false; ///< still has to
  };
  const EchoedPrompt &echoOf(size_t index) const;
  void takeScores(Text &text, size_t index, const Event &event);
  void showPrompt(Text &text, size_t index);
  void show(Text &text, size_t index, const std::string &piece);
  void end();

  std::shared_ptr<Exchange> exchange;
  std::shared_ptr<Job> job;
  Fields fields;
  std::function<void(std::function<std::string()>)> later;
  ReplyHead head;
  Prepared prepared;
  std::optional<Chunks> chunks; ///< of a stream
  bool tellsUsage = false, wasSilent = true;
  std::vector<Text> texts;
  size_t left = 0; ///< texts that go on
  Usage usage;
};

} // namespace fairy2::serve

// SPDX-License-Identifier: Apache-2.0
//
// One request for text on its way: what the engine tells of it becomes its
// reply. Everything here runs on the I/O thread.
#pragma once

#include "runtime/serve/Engine.h"
#include "runtime/serve/Front.h"
#include "runtime/serve/Http.h"
#include "runtime/serve/Replies.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fairy2::serve {

class Answer {
public:
  Answer(std::shared_ptr<Exchange> exchange, std::shared_ptr<Job> job,
         std::vector<std::pair<std::string, std::string>> fields)
      : exchange(std::move(exchange)), job(std::move(job)),
        fields(std::move(fields)) {}

  /// The engine has it; a stream begins.
  void begin(Prepared prepared, ReplyHead head);
  /// Returns whether it was the last event.
  bool take(const Event &event);
  /// Ends it by an error: as a reply, or in the midst of a stream as an event.
  void fail(const ApiError &error);
  /// Nobody waits for it any more.
  void cancel() { job->isCancelled = true; }
  /// Keeps a silent stream alive.
  void beat();
  size_t sequences() const { return choices.empty() ? 1 : choices.size(); }

private:
  void takeText(const Event &event);
  void end();

  std::shared_ptr<Exchange> exchange;
  std::shared_ptr<Job> job;
  std::vector<std::pair<std::string, std::string>> fields;
  ReplyHead head;
  std::optional<Chunks> chunks; ///< of a stream
  bool tellsUsage = false, wasSilent = true;
  std::vector<Choice> choices;
  size_t left = 0; ///< choices that go on
  Usage usage;
};

} // namespace fairy2::serve

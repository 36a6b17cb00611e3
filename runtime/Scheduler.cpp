// SPDX-License-Identifier: Apache-2.0
//
// Admission, the sharing of a batch, and what follows a pass.
#include "runtime/Scheduler.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <utility>

namespace fairy2 {
namespace {

std::vector<int32_t> allSlots(const Session &session) {
  std::vector<int32_t> slots(size_t(session.slots()));
  std::iota(slots.begin(), slots.end(), 0);
  return slots;
}

size_t commonStart(std::span<const int32_t> a, std::span<const int32_t> b) {
  const auto [end, ignored] = std::ranges::mismatch(a, b);
  return size_t(end - a.begin());
}

} // namespace

Scheduler::Scheduler(Session &session, std::vector<int32_t> slots)
    : session(session), idle(std::move(slots)) {}

Scheduler::Scheduler(Session &session)
    : Scheduler(session, allSlots(session)) {}

void Scheduler::add(std::shared_ptr<Sequence> sequence) {
  queue.push_back(std::move(sequence));
}

bool Scheduler::step() {
  endInterrupted();
  admit();
  if (active.empty())
    return false;
  const std::vector<size_t> shares = shareBatch();
  std::vector<Session::Piece> pieces;
  size_t rows = 0;
  for (size_t i = 0; i < active.size(); ++i) {
    const Sequence &sequence = *active[i].sequence;
    const auto held = size_t(session.length(active[i].slot));
    const auto tokens = sequence.tokens().subspan(held, shares[i]);
    const bool isLast = held + shares[i] == sequence.tokens().size();
    const auto wanted = sequence.wantsPromptLogits() ? Session::Logits::All
                        : isLast                     ? Session::Logits::Last
                                                     : Session::Logits::None;
    if (tokens.empty()) // more sequences than tokens in a batch
      break;
    pieces.push_back({active[i].slot, tokens, wanted});
    rows += wanted == Session::Logits::All ? tokens.size() : isLast;
  }
  logits.resize(rows * size_t(session.vocabSize()));
  session.step(pieces, logits.data());
  drawFrom(pieces);
  // Who got a token stands behind who did not.
  std::rotate(active.begin(), active.begin() + std::ssize(pieces),
              active.end());
  retireFinished();
  return !active.empty() || !queue.empty();
}

/// Also of those that wait.
void Scheduler::endInterrupted() {
  const auto end = [](Sequence &sequence) {
    if (!sequence.isInterrupted())
      return;
    try {
      sequence.interrupt();
    } catch (...) {
      sequence.fail(std::current_exception());
    }
  };
  for (const Active &one : active)
    end(*one.sequence);
  for (const auto &sequence : queue)
    end(*sequence);
  std::erase_if(queue, [](const auto &one) { return one->isFinished(); });
  retireFinished();
}

void Scheduler::admit() {
  while (!queue.empty() && !idle.empty()) {
    std::shared_ptr<Sequence> sequence = std::move(queue.front());
    queue.pop_front();
    const auto tokens = sequence->tokens();
    const int32_t slot = takeSlot(tokens);
    // The last token is always computed, for its logits.
    const size_t cached =
        sequence->wantsPromptLogits()
            ? 0
            : std::min(commonStart(session.tokens(slot), tokens),
                       tokens.size() - 1);
    session.reset(slot, int32_t(cached));
    sequence->begin(cached);
    active.push_back({std::move(sequence), slot});
  }
}

int32_t Scheduler::takeSlot(std::span<const int32_t> tokens) {
  const auto best = std::ranges::max_element(idle, {}, [&](int32_t slot) {
    return commonStart(session.tokens(slot), tokens);
  });
  const int32_t slot = *best;
  idle.erase(best);
  return slot;
}

std::vector<size_t> Scheduler::shareBatch() const {
  auto room = size_t(session.model().manifest().batch);
  std::vector<size_t> shares(active.size());
  // A token for everyone first, so that nobody's stream waits for a prompt.
  for (size_t i = 0; i < active.size() && room > 0; ++i, --room)
    shares[i] = 1;
  for (size_t i = 0; i < active.size() && room > 0; ++i) {
    const size_t pending = active[i].sequence->tokens().size() -
                           size_t(session.length(active[i].slot));
    const size_t more = std::min(room, pending - shares[i]);
    shares[i] += more;
    room -= more;
  }
  return shares;
}

/// Hands out the rows of `logits`, which lie in the order of the pieces.
void Scheduler::drawFrom(std::span<const Session::Piece> pieces) {
  struct Draw {
    size_t index;                ///< in `active`
    std::span<const float> last; ///< logits of its last token
    int32_t id = 0;
    std::exception_ptr failure;
  };
  const auto vocab = size_t(session.vocabSize());
  std::vector<Draw> draws;
  std::span<const float> rest = logits;
  for (size_t i = 0; i < pieces.size(); ++i) {
    Sequence &sequence = *active[i].sequence;
    const bool all = pieces[i].wanted == Session::Logits::All;
    const size_t rows = all ? pieces[i].tokens.size()
                            : pieces[i].wanted == Session::Logits::Last;
    const auto mine = rest.first(rows * vocab);
    rest = rest.subspan(mine.size());
    if (all)
      try {
        sequence.addPromptLogits(mine);
      } catch (...) {
        sequence.fail(std::current_exception());
      }
    if (session.length(active[i].slot) == std::ssize(sequence.tokens()) &&
        !sequence.isFinished())
      draws.push_back({i, mine.last(vocab), 0, nullptr});
  }
  const auto drawOne = [&](Draw &draw) {
    try {
      draw.id = active[draw.index].sequence->draw(draw.last);
    } catch (...) {
      draw.failure = std::current_exception();
    }
  };
  if (draws.size() == 1)
    drawOne(draws.front());
  else if (!draws.empty())
    session.threads().run([&](int thread, int threads) {
      for (size_t i = size_t(thread); i < draws.size(); i += size_t(threads))
        drawOne(draws[i]);
    });
  for (const Draw &draw : draws) {
    Sequence &sequence = *active[draw.index].sequence;
    try {
      if (draw.failure)
        std::rethrow_exception(draw.failure);
      sequence.append(draw.id, session.length(active[draw.index].slot) ==
                                   session.context());
    } catch (...) {
      sequence.fail(std::current_exception());
    }
  }
}

void Scheduler::retireFinished() {
  for (const Active &one : active)
    if (one.sequence->isFinished())
      idle.push_back(one.slot);
  std::erase_if(active,
                [](const Active &one) { return one.sequence->isFinished(); });
}

} // namespace fairy2

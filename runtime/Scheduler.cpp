// SPDX-License-Identifier: Apache-2.0
//
// Admission, the sharing of a batch, and what follows a pass.
#include "runtime/Scheduler.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

namespace fairy2 {
namespace {

/// While others wait for their next token a step takes about this much longer
/// for prompts, and at least so many of their tokens.
constexpr double kPromptShare = 1.0;
constexpr size_t kLeastPromptTokens = 8;
/// No prompt waits longer behind shorter ones.
constexpr int kMostWaits = 8;

std::vector<int32_t> allSlots(const Session &session) {
  std::vector<int32_t> slots(size_t(session.slots()));
  std::iota(slots.begin(), slots.end(), 0);
  return slots;
}

void follow(double &average, double value) {
  average = average == 0 ? value : average + (value - average) / 8;
}

} // namespace

Scheduler::Scheduler(Session &session, std::vector<int32_t> slots,
                     const SlotLimits &limits)
    : session(session), cache(session, slots, limits) {}

Scheduler::Scheduler(Session &session, const SlotLimits &limits)
    : Scheduler(session, allSlots(session), limits) {}

void Scheduler::add(std::shared_ptr<Sequence> sequence) {
  queue.push_back(std::move(sequence));
}

bool Scheduler::canAdvance() const {
  return (!queue.empty() && cache.hasRoomFor(*queue.front())) ||
         std::ranges::any_of(
             queue, [](const auto &one) { return one->isInterrupted(); }) ||
         std::ranges::any_of(active, [](const Active &one) {
           return !one.sequence->isPaused() || one.sequence->isInterrupted();
         });
}

bool Scheduler::step() {
  endInterrupted();
  admit();
  const std::vector<size_t> tokens = shareBatch();
  const std::vector<Share> shares = sharesOf(tokens);
  if (!shares.empty()) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<Session::Piece> pieces;
    size_t rows = 0;
    for (const Share &share : shares) {
      pieces.push_back(share.piece);
      rows += share.rows;
    }
    logits.resize(rows * size_t(session.vocabSize()));
    session.step(pieces, logits.data());
    const std::chrono::duration<double> time =
        std::chrono::steady_clock::now() - begin;
    measure(shares, time.count());
    scoreAndDraw(shares);
    queueUp(tokens);
  }
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

/// Choices of one prompt, and prompts that begin alike, come together: the
/// first computes what the others copy.
bool Scheduler::waitsForStart(const Sequence &next) const {
  return std::ranges::any_of(active, [&](const Active &one) {
    return one.sequence->inPrompt() && !one.sequence->isPaused() &&
           cache.isWorthWaiting(*one.sequence, one.slot, next);
  });
}

void Scheduler::admit() {
  for (auto next = queue.begin(); next != queue.end();) {
    if (!cache.hasRoomFor(**next))
      break;
    if (waitsForStart(**next)) {
      ++next;
      continue;
    }
    const auto [slot, cached] = *cache.take(**next);
    std::shared_ptr<Sequence> sequence = std::move(*next);
    next = queue.erase(next);
    sums.cachedTokens += cached;
    active.push_back({sequence, slot});
    try {
      sequence->begin(cached);
      if (sequence->wantsPromptScores())
        for (TokenScore score : cache.scores(slot)) {
          // An earlier sequence may have asked for more.
          const auto best = size_t(sequence->request().logprobs.value_or(0));
          score.best.resize(std::min(score.best.size(), best));
          sequence->addPromptScore(score);
        }
    } catch (...) {
      sequence->fail(std::current_exception());
    }
  }
  retireFinished();
}

size_t Scheduler::pendingOf(const Active &one) const {
  return one.sequence->tokens().size() - size_t(session.length(one.slot));
}

/// How many tokens of each active sequence the next pass takes.
std::vector<size_t> Scheduler::shareBatch() const {
  const auto goesOn = [](const Active &one) {
    return !one.sequence->isPaused();
  };
  const auto talking =
      size_t(std::ranges::count_if(active, [&](const Active &one) {
        return goesOn(one) && !one.sequence->inPrompt();
      }));
  auto room = size_t(session.model().manifest().batch);
  size_t promptTokens = promptRoom(talking);
  std::vector<size_t> shares(active.size());
  std::vector<size_t> prompts;
  // A token for everyone first: no stream waits for a prompt.
  for (size_t i = 0; i < active.size() && room > 0; ++i) {
    const bool isPrompt = active[i].sequence->inPrompt();
    if (!goesOn(active[i]) || (isPrompt && promptTokens == 0))
      continue;
    shares[i] = 1;
    --room;
    if (isPrompt) {
      --promptTokens;
      prompts.push_back(i);
    }
  }
  // Short prompts do not wait behind long ones.
  std::ranges::sort(prompts, {}, [&](size_t i) {
    return std::tuple(active[i].waited < kMostWaits, pendingOf(active[i]), i);
  });
  room = std::min(room, promptTokens);
  for (const size_t i : prompts) {
    const size_t more = std::min(room, pendingOf(active[i]) - 1);
    shares[i] += more;
    room -= more;
  }
  return shares;
}

/// How many tokens of prompts a step takes beside those that talk.
size_t Scheduler::promptRoom(size_t talking) const {
  const auto batch = size_t(session.model().manifest().batch);
  if (talking == 0 || talkSeconds == 0 || promptSeconds <= 0)
    return batch;
  const double tokens = kPromptShare * talkSeconds / promptSeconds;
  return std::max(kLeastPromptTokens, size_t(std::min(tokens, double(batch))));
}

void Scheduler::measure(std::span<const Share> shares, double seconds) {
  size_t prompt = 0, talking = 0;
  for (const Share &share : shares)
    if (active[share.index].sequence->inPrompt())
      prompt += share.piece.tokens.size();
    else
      ++talking;
  ++sums.steps;
  sums.promptTokens += prompt;
  if (talking > 0 && prompt == 0)
    follow(talkSeconds, seconds);
  else if (talking > 0 && talkSeconds > 0)
    follow(promptSeconds,
           std::max(seconds - talkSeconds, 0.0) / double(prompt));
}

std::vector<Scheduler::Share>
Scheduler::sharesOf(std::span<const size_t> tokens) const {
  std::vector<Share> shares;
  for (size_t i = 0; i < active.size(); ++i) {
    if (tokens[i] == 0)
      continue;
    const Sequence &sequence = *active[i].sequence;
    const auto held = size_t(session.length(active[i].slot));
    const auto piece = sequence.tokens().subspan(held, tokens[i]);
    const bool isLast = held + tokens[i] == sequence.tokens().size();
    const bool wantsAll =
        sequence.inPrompt() &&
        (sequence.wantsPromptLogits() || sequence.wantsPromptScores());
    const auto wanted = wantsAll ? Session::Logits::All
                        : isLast ? Session::Logits::Last
                                 : Session::Logits::None;
    shares.push_back(
        {i, {active[i].slot, piece, wanted}, wantsAll ? piece.size() : isLast});
  }
  return shares;
}

/// Hands out the rows of `logits`, which lie in the order of the shares.
void Scheduler::scoreAndDraw(std::span<const Share> shares) {
  struct Task {
    size_t index; ///< in `active`
    size_t at;    ///< of the token to score, or behind all: one is drawn
    std::span<const float> row;
    Sequence::Drawn drawn = {};
    std::optional<TokenScore> score = {};
    std::exception_ptr failure = {};
  };
  const auto vocab = size_t(session.vocabSize());
  std::vector<Task> tasks;
  std::span<const float> rest = logits;
  for (const Share &share : shares) {
    Sequence &sequence = *active[share.index].sequence;
    const auto mine = rest.first(share.rows * vocab);
    rest = rest.subspan(mine.size());
    if (sequence.inPrompt() && sequence.wantsPromptLogits())
      try {
        sequence.addPromptLogits(mine);
      } catch (...) {
        sequence.fail(std::current_exception());
        continue;
      }
    const auto length = size_t(session.length(share.piece.slot));
    for (size_t row = 0; row < share.rows; ++row) {
      const size_t at = length - share.rows + row + 1;
      const bool isLast = at == sequence.tokens().size();
      if (isLast ? !sequence.endsWithPrompt() : sequence.wantsPromptScores())
        tasks.push_back({share.index, at, mine.subspan(row * vocab, vocab)});
    }
  }
  const auto work = [&](Task &task) {
    const Sequence &sequence = *active[task.index].sequence;
    try {
      if (task.at == sequence.tokens().size())
        task.drawn = sequence.draw(task.row);
      else
        task.score = sequence.scorePrompt(task.at, task.row);
    } catch (...) {
      task.failure = std::current_exception();
    }
  };
  if (tasks.size() == 1)
    work(tasks.front());
  else if (!tasks.empty())
    session.threads().run([&](int thread, int threads) {
      for (size_t i = size_t(thread); i < tasks.size(); i += size_t(threads))
        work(tasks[i]);
    });
  for (Task &task : tasks) {
    const Active &one = active[task.index];
    Sequence &sequence = *one.sequence;
    if (sequence.isFinished()) // by an error
      continue;
    try {
      if (task.failure)
        std::rethrow_exception(task.failure);
      if (task.score) {
        sequence.addPromptScore(*task.score);
        cache.addScore(one.slot, std::move(*task.score));
      } else {
        ++sums.generatedTokens;
        sequence.append(task.drawn,
                        session.length(one.slot) == session.context());
      }
    } catch (...) {
      sequence.fail(std::current_exception());
    }
  }
  for (const Share &share : shares) {
    const Active &one = active[share.index];
    try {
      if (one.sequence->inPrompt() && one.sequence->endsWithPrompt() &&
          pendingOf(one) == 0)
        one.sequence->endPrompt();
    } catch (...) {
      one.sequence->fail(std::current_exception());
    }
  }
}

/// Who got nothing stands before who did.
void Scheduler::queueUp(std::span<const size_t> tokens) {
  std::vector<Active> next;
  for (const bool served : {false, true})
    for (size_t i = 0; i < active.size(); ++i)
      if ((tokens[i] > 0) == served) {
        active[i].waited = tokens[i] > 1 ? 0 : active[i].waited + 1;
        next.push_back(std::move(active[i]));
      }
  active = std::move(next);
}

void Scheduler::retireFinished() {
  for (const Active &one : active)
    if (one.sequence->isFinished())
      cache.giveBack(one.slot);
  std::erase_if(active,
                [](const Active &one) { return one.sequence->isFinished(); });
}

} // namespace fairy2

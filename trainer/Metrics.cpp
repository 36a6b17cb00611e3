// SPDX-License-Identifier: Apache-2.0
#include "trainer/Metrics.h"

#include "dialect/Error.h"

#include <cerrno>
#include <cstring>

#include <unistd.h>

namespace fairy2 {

Metrics::Metrics(const std::filesystem::path &folder, bool append)
    : path((folder / "metrics.jsonl").string()),
      out(std::fopen(path.c_str(), append ? "a" : "w"), &std::fclose) {
  if (!out)
    throw Error(path + ": cannot open to write: " + std::strerror(errno));
  const std::filesystem::path events = folder / "tensorboard";
  if (!append)
    std::filesystem::remove_all(events);
  std::filesystem::create_directories(events);
  board.emplace(events);
}

void Metrics::write(const nlohmann::ordered_json &values) {
  const std::string line = values.dump() + "\n";
  if (std::fwrite(line.data(), 1, line.size(), out.get()) != line.size() ||
      std::fflush(out.get()) != 0)
    throw Error(path + ": cannot write: " + std::strerror(errno));
  if (!values.contains("step"))
    return;
  const auto step = values["step"].get<int64_t>();
  for (const auto &[tag, value] : values.items())
    if (tag != "step" && value.is_number())
      board->scalar(tag, step, value.get<float>());
}

void Metrics::progress(int64_t step, int64_t steps, double loss,
                       double learningRate, double tokensPerSecond) {
  const Clock::time_point now = Clock::now();
  const bool terminal = ::isatty(STDERR_FILENO);
  if (firstStep < 0)
    firstStep = step - 1;
  if (step < steps &&
      now - last < (terminal ? std::chrono::milliseconds(100)
                             : std::chrono::milliseconds(10000)))
    return;
  last = now;
  const double elapsed = std::chrono::duration<double>(now - start).count();
  const auto left =
      int64_t(elapsed / double(step - firstStep) * double(steps - step));
  std::fprintf(stderr,
               "%sstep %lld/%lld  loss %.4f  lr %.2e  %.0f tokens/s  "
               "%lld:%02lld left%s",
               terminal ? "\r\033[K" : "", (long long)step, (long long)steps,
               loss, learningRate, tokensPerSecond, (long long)(left / 60),
               (long long)(left % 60), terminal && step < steps ? "" : "\n");
}

} // namespace fairy2

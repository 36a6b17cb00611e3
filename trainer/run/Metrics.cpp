// SPDX-License-Identifier: Apache-2.0
//
// Lines that a crash left behind the last saved step are dropped first.
#include "trainer/run/Metrics.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "trainer/run/Folders.h"
#include "trainer/run/RunFolder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include <sys/ioctl.h>
#include <unistd.h>

namespace fairy2::trainer {

namespace {

/// Columns of the terminal that is stderr; 0 when it is none or does not say.
size_t terminalColumns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/// The lines of a run's metrics up to step `done`.
std::string linesUntil(const std::string &text, int64_t done) {
  std::string kept;
  for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
    end = text.find('\n', begin);
    if (end == std::string::npos)
      break; // a line is not there before its end is
    const std::string_view line(text.data() + begin, end - begin);
    const auto values = nlohmann::json::parse(line, nullptr, false);
    if (values.is_object() && values.value("step", int64_t(0)) <= done)
      kept.append(line).append("\n");
  }
  return kept;
}

void keepLinesUntil(const std::filesystem::path &file, int64_t done) {
  if (!std::filesystem::exists(file))
    return;
  writeTextFile(file, linesUntil(readWholeFile(file.string()), done));
}

} // namespace

std::string timeText(int64_t seconds) {
  const long long minutes = seconds / 60, hours = minutes / 60;
  char text[40];
  if (hours >= 24)
    std::snprintf(text, sizeof text, "%lld d %02lld h", hours / 24, hours % 24);
  else if (hours > 0)
    std::snprintf(text, sizeof text, "%lld h %02lld min", hours, minutes % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", minutes,
                  (long long)seconds % 60);
  return text;
}

Metrics::Metrics(const std::filesystem::path &folder, int64_t done)
    : path((folder / kMetricsFile).string()), out(nullptr, &std::fclose) {
  const std::filesystem::path events = folder / kEventsFolder;
  if (done > 0)
    keepLinesUntil(path, done);
  else
    TensorBoard::removeEvents(events);
  out.reset(std::fopen(path.c_str(), done > 0 ? "a" : "w"));
  if (!out)
    throw Error(path + ": cannot open to write: " + std::strerror(errno));
  makeFolder(events);
  board.emplace(events, done + 1);
}

bool Metrics::areThere(const std::filesystem::path &folder) {
  std::ifstream file(folder / kMetricsFile);
  std::string line;
  std::getline(file, line);
  const auto values = nlohmann::json::parse(line, nullptr, false);
  return values.is_object() && values.contains("fingerprint") &&
         values.contains("recipe");
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
  char numbers[160];
  std::snprintf(numbers, sizeof numbers,
                "step %lld/%lld  loss %.4f  lr %.2e  %.0f tokens/s  ",
                (long long)step, (long long)steps, loss, learningRate,
                tokensPerSecond);
  std::string line = numbers + timeText(left) + " left";
  if (!terminal) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  // A line that breaks cannot be drawn over.
  if (const size_t columns = terminalColumns(); columns > 0)
    line.resize(std::min(line.size(), columns - 1));
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  lineOpen = true;
  if (step == steps)
    endLine();
}

void Metrics::tell(const std::string &text) {
  endLine();
  std::fprintf(stderr, "%s\n", text.c_str());
}

void Metrics::endLine() {
  if (std::exchange(lineOpen, false))
    std::fputc('\n', stderr);
}

} // namespace fairy2::trainer

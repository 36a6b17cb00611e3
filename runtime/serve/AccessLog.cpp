// SPDX-License-Identifier: Apache-2.0
//
// Lines of the log. What a client chose is shown, never obeyed by a terminal.
#include "runtime/serve/AccessLog.h"

#include "runtime/support/Utf8.h"
#include "runtime/support/VisibleText.h"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>

#include <poll.h>
#include <unistd.h>

namespace fairy2::serve {
namespace {

constexpr size_t kMostLines = 10'000; ///< that wait
constexpr size_t kLongestField = 256;
/// How long the end of the program waits for a reader.
constexpr int kLastWait = 500;

/// One line, whatever the client sent: newlines and tabs escaped as well.
std::string shown(std::string_view text) {
  std::string escaped;
  for (const char c :
       visibleText(replaceInvalidUtf8(text.substr(0, kLongestField))))
    escaped += c == '\n' ? "\\n" : c == '\t' ? "\\t" : std::string(1, c);
  return escaped;
}

std::string timeNow() {
  const std::time_t now = std::time(nullptr);
  std::tm time;
  char text[32];
  gmtime_r(&now, &time);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &time)};
}

} // namespace

std::string AccessLog::lineOf(LogForm form, const HttpRequest &request,
                              int status, uint64_t bytes) {
  const std::string *agent = request.field("user-agent");
  const double seconds =
      request.begin == std::chrono::steady_clock::time_point()
          ? 0
          : std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                          request.begin)
                .count();
  char time[32];
  std::snprintf(time, sizeof time, "%.3f", seconds);
  if (form == LogForm::Json)
    return nlohmann::ordered_json({{"time", timeNow()},
                                   {"id", request.id},
                                   {"peer", request.peer},
                                   {"method", shown(request.method)},
                                   {"path", shown(request.target)},
                                   {"status", status},
                                   {"bytes", bytes},
                                   {"seconds", std::stod(time)},
                                   {"agent", shown(agent ? *agent : "")}})
               .dump() +
           "\n";
  return timeNow() + " " + request.peer + " " + request.id + " \"" +
         shown(request.method) + " " + shown(request.target) + "\" " +
         std::to_string(status) + " " + std::to_string(bytes) + " " + time +
         " \"" + shown(agent ? *agent : "") + "\"\n";
}

AccessLog::AccessLog(LogForm form) : form(form) {
  if (form != LogForm::Off)
    writer = std::thread([this] { write(); });
}

AccessLog::~AccessLog() {
  {
    const std::lock_guard lock(mutex);
    isEnding = true;
  }
  changed.notify_one();
  if (writer.joinable())
    writer.join();
}

void AccessLog::add(const HttpRequest &request, int status, uint64_t bytes) {
  if (form == LogForm::Off)
    return;
  std::string line = lineOf(form, request, status, bytes);
  {
    const std::lock_guard lock(mutex);
    if (lines.size() < kMostLines)
      lines.push_back(std::move(line));
  }
  changed.notify_one();
}

void AccessLog::write() {
  for (bool isOpen = true;;) {
    std::string line;
    bool isLast;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return isEnding || !lines.empty(); });
      if (lines.empty())
        return;
      line = std::move(lines.front());
      lines.pop_front();
      isLast = isEnding;
    }
    for (size_t at = 0; isOpen && at < line.size();) {
      pollfd output = {STDOUT_FILENO, POLLOUT, 0};
      if (isLast && poll(&output, 1, kLastWait) == 0)
        return;
      const ssize_t wrote =
          ::write(STDOUT_FILENO, line.data() + at, line.size() - at);
      if (wrote < 0 && errno != EINTR && errno != EAGAIN)
        isOpen = false;
      at += wrote > 0 ? size_t(wrote) : 0;
    }
  }
}

} // namespace fairy2::serve

// SPDX-License-Identifier: Apache-2.0
//
// A bar on stderr for long work, silent when stderr is not a terminal.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include <sys/ioctl.h>
#include <unistd.h>

namespace fairy2 {

class ProgressBar {
public:
  explicit ProgressBar(std::string what) : what(std::move(what)) {}
  ProgressBar(const ProgressBar &) = delete;
  ProgressBar &operator=(const ProgressBar &) = delete;
  /// Ends the line of work that failed: the error gets one of its own.
  ~ProgressBar() {
    if (isOpen)
      std::fputc('\n', stderr);
  }

  /// Redraws at most ten times a second; the last call, done == total, ends
  /// the line.
  void show(int64_t done, int64_t total) {
    const auto now = std::chrono::steady_clock::now();
    if (!::isatty(STDERR_FILENO) || total <= 0 ||
        (done < total && now - last < std::chrono::milliseconds(100)))
      return;
    last = now;
    std::fprintf(stderr, "\r%s",
                 line(double(done) / double(total), columns()).c_str());
    isOpen = done < total;
    if (!isOpen)
      std::fputc('\n', stderr);
  }

private:
  /// Of the terminal, asked each time: its window may have changed.
  static size_t columns() {
    winsize size{};
    // A terminal that does not know has 0.
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
      return 80;
    return size.ws_col;
  }

  /// Stays below `columns`: in the last one some terminals begin a new line,
  /// and the next '\r' would not come back to this one.
  std::string line(double part, size_t columns) const {
    constexpr size_t kMostCells = 30, kFewestCells = 4;
    char percent[8];
    std::snprintf(percent, sizeof percent, "%3d %%", int(part * 100));
    std::string text = what + " ";
    const size_t frame = text.size() + 3 + std::string(percent).size();
    if (columns > frame + kFewestCells) {
      const size_t cells = std::min(kMostCells, columns - 1 - frame);
      std::string bar(cells, ' ');
      std::fill_n(bar.begin(), size_t(part * double(cells)), '#');
      text += "[" + bar + "] ";
    }
    text += percent;
    return text.size() < columns ? text
                                 : std::string(percent).substr(
                                       0, std::max<size_t>(1, columns - 1));
  }

  std::string what;
  std::chrono::steady_clock::time_point last;
  bool isOpen = false; ///< drawn, and not at its end
};

} // namespace fairy2

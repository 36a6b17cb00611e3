// SPDX-License-Identifier: Apache-2.0
//
// A bar on stderr for long work, silent when stderr is not a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include <unistd.h>

namespace fairy2 {

class ProgressBar {
public:
  explicit ProgressBar(std::string what) : what(std::move(what)) {}

  /// Redraws at most ten times a second; the last call, done == total, ends
  /// the line.
  void show(int64_t done, int64_t total) {
    const auto now = std::chrono::steady_clock::now();
    if (!::isatty(STDERR_FILENO) || total <= 0 ||
        (done < total && now - last < std::chrono::milliseconds(100)))
      return;
    last = now;
    constexpr int kWidth = 30;
    const int filled = int(double(done) / double(total) * kWidth);
    std::fprintf(stderr, "\r%s [%.*s%*s] %3d %%", what.c_str(), filled,
                 "##############################", kWidth - filled, "",
                 int(double(done) / double(total) * 100));
    if (done == total)
      std::fputc('\n', stderr);
  }

private:
  std::string what;
  std::chrono::steady_clock::time_point last;
};

} // namespace fairy2

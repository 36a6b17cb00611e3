// SPDX-License-Identifier: Apache-2.0
//
// The text form of Prometheus, version 0.0.4.
#include "runtime/serve/Metrics.h"

#include <algorithm>
#include <cstdio>

#include <fstream>

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

namespace fairy2::serve {
namespace {

/// Seconds, from what a step takes to what a request may.
const std::vector<double> kSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                      0.1,   0.25,   0.5,   1,    2.5,   5,
                                      10,    30,     60,    120,  300,   600};

std::string inWords(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

void describe(std::string &text, const std::string &name, const char *type,
              const char *help) {
  text +=
      "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

/// A metric of one value.
void add(std::string &text, const std::string &name, const char *type,
         const char *help, double value) {
  describe(text, name, type, help);
  text += name + " " + inWords(value) + "\n";
}

std::string labelValue(std::string_view value) {
  std::string escaped;
  for (const char c : value)
    escaped += c == '\\'   ? "\\\\"
               : c == '"'  ? "\\\""
               : c == '\n' ? "\\n"
                           : std::string(1, c);
  return escaped;
}

size_t openDescriptors() {
  DIR *folder = opendir("/proc/self/fd");
  if (!folder)
    return 0;
  size_t count = 0;
  while (const dirent *entry = readdir(folder))
    count += entry->d_name[0] != '.';
  closedir(folder);
  return count - 1; // of the folder itself
}

void addProcess(std::string &text) {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval &time) {
    return double(time.tv_sec) + double(time.tv_usec) * 1e-6;
  };
  add(text, "process_cpu_seconds_total", "counter", "CPU time of all threads.",
      seconds(usage.ru_utime) + seconds(usage.ru_stime));
  uint64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  add(text, "process_resident_memory_bytes", "gauge", "Memory in use.",
      double(resident) * double(sysconf(_SC_PAGESIZE)));
  add(text, "process_open_fds", "gauge", "Open descriptors.",
      double(openDescriptors()));
}

} // namespace

void Histogram::add(double value) {
  const auto bound = std::ranges::lower_bound(bounds, value);
  ++counts[size_t(bound - bounds.begin())];
  sum += value;
}

std::string Histogram::text(const std::string &name) const {
  std::string lines;
  uint64_t count = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    count += counts[i];
    const std::string bound =
        i < bounds.size() ? inWords(bounds[i]) : std::string("+Inf");
    lines +=
        name + "_bucket{le=\"" + bound + "\"} " + std::to_string(count) + "\n";
  }
  lines += name + "_sum " + inWords(sum) + "\n";
  return lines + name + "_count " + std::to_string(count) + "\n";
}

Metrics::Metrics()
    : requestSeconds(kSeconds), firstTokenSeconds(kSeconds),
      tokenGapSeconds(kSeconds), stepSeconds(kSeconds) {}

void Metrics::addRequest(std::string_view route, int status, double seconds) {
  ++requests[{route, status}];
  requestSeconds.add(seconds);
}

std::string Metrics::text(const Now &now) const {
  std::string text;
  describe(text, "fairy2_build_info", "gauge", "Version and model, always 1.");
  text += "fairy2_build_info{version=\"" FAIRY2_VERSION "\",model=\"" +
          labelValue(now.model) + "\"} 1\n";
  describe(text, "fairy2_requests_total", "counter", "Replies by status.");
  for (const auto &[key, count] : requests)
    text += "fairy2_requests_total{route=\"" + std::string(key.first) +
            "\",code=\"" + std::to_string(key.second) + "\"} " +
            std::to_string(count) + "\n";
  const auto histogram = [&](const std::string &name, const char *help,
                             const Histogram &values) {
    describe(text, name, "histogram", help);
    text += values.text(name);
  };
  histogram("fairy2_request_seconds", "From a request's head to its reply.",
            requestSeconds);
  histogram("fairy2_time_to_first_token_seconds",
            "From a request's head to its first token.", firstTokenSeconds);
  histogram("fairy2_time_between_tokens_seconds",
            "Between two tokens of a text.", tokenGapSeconds);
  histogram("fairy2_step_seconds", "Of one pass for all sequences.",
            stepSeconds);
  const auto counter = [&](const char *name, const char *help, uint64_t value) {
    add(text, name, "counter", help, double(value));
  };
  counter("fairy2_prompt_tokens_total", "Tokens of prompts.", promptTokens);
  counter("fairy2_prompt_tokens_cached_total",
          "Tokens of prompts that were not computed again.", cachedTokens);
  counter("fairy2_generated_tokens_total", "Tokens that were generated.",
          generatedTokens);
  describe(text, "fairy2_cancelled_total", "counter",
           "Requests without an end, by reason.");
  for (const auto &[reason, count] : cancelled)
    text += "fairy2_cancelled_total{reason=\"" + std::string(reason) + "\"} " +
            std::to_string(count) + "\n";
  describe(text, "fairy2_sequences", "gauge", "Texts under way, by state.");
  text += "fairy2_sequences{state=\"running\"} " + std::to_string(now.running) +
          "\nfairy2_sequences{state=\"waiting\"} " +
          std::to_string(now.waiting) + "\n";
  describe(text, "fairy2_kv_bytes", "gauge",
           "Memory of the KV cache, and what running texts may make of it.");
  text += "fairy2_kv_bytes{kind=\"held\"} " + std::to_string(now.heldBytes) +
          "\nfairy2_kv_bytes{kind=\"reserved\"} " +
          std::to_string(now.reservedBytes) + "\n";
  addProcess(text);
  return text;
}

} // namespace fairy2::serve

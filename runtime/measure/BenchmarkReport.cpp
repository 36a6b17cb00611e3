// SPDX-License-Identifier: Apache-2.0
//
// The roofline (Williams, Waterman and Patterson, CACM 52(4), 2009) of a model:
// its intensity is the number of tokens that one pass over the weights serves.
#include "runtime/measure/BenchmarkReport.h"

#include "runtime/support/Html.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace fairy2 {
namespace {

__attribute__((format(printf, 1, 2))) std::string format(const char *text,
                                                         ...) {
  va_list arguments, again;
  va_start(arguments, text);
  va_copy(again, arguments);
  std::string result(size_t(std::vsnprintf(nullptr, 0, text, arguments)), ' ');
  std::vsnprintf(result.data(), result.size() + 1, text, again);
  va_end(arguments);
  va_end(again);
  return result;
}

std::string shapeOf(const KernelRow &row) {
  std::string text;
  for (const int64_t extent : row.shape)
    text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

/// What a reader looks for first: the weights, or the kernel that has none.
std::string labelOf(const KernelRow &row) {
  return row.weights.empty() ? row.kernel : row.weights;
}

/// "prefill", "decode", "decode x4 @512": 4 sequences after 512 positions.
std::string nameOf(const BenchmarkRow &row) {
  std::string name = row.kind;
  if (row.batch > 1)
    name += " x" + std::to_string(row.batch);
  if (row.depth > 0)
    name += " @" + std::to_string(row.depth);
  return name;
}

/// Tokens that share one pass over the weights in this row.
double tokensPerPass(const BenchmarkResult &result, const BenchmarkRow &row) {
  return row.kind == "decode" ? row.batch : std::min(row.tokens, result.batch);
}

constexpr const char *kColors[] = {"#2563eb", "#dc2626", "#059669", "#d97706",
                                   "#7c3aed", "#0891b2", "#be185d", "#4d7c0f"};
std::string colorOf(size_t i) { return kColors[i % std::size(kColors)]; }

/// Tokens/s over tokens per pass, both logarithmic, under the memory's roof.
std::string roofline(const BenchmarkResult &result) {
  constexpr double kWidth = 640, kHeight = 320, kLeft = 60, kBottom = 40;
  double low = 1e300, high = 0, most = 1;
  for (const BenchmarkRow &row : result.rows) {
    low = std::min(low, row.tokensPerSecond.min);
    const double roof =
        row.bandwidth * 1e9 / double(result.weightBytesPerToken);
    high = std::max({high, row.tokensPerSecond.max, roof});
    most = std::max(most, tokensPerPass(result, row));
  }
  low /= 2;
  high *= 2;
  most *= 2;
  auto x = [&](double tokens) {
    return kLeft + (kWidth - kLeft - 10) * std::log(tokens) / std::log(most);
  };
  auto y = [&](double rate) {
    return (kHeight - kBottom) *
           (1 - std::log(std::min(rate, high) / low) / std::log(high / low));
  };
  std::string svg = format("<svg viewBox='0 0 %.0f %.0f' role='img' "
                           "aria-label='Roofline'>",
                           kWidth, kHeight);
  for (double tick = std::pow(10, std::ceil(std::log10(low))); tick <= high;
       tick *= 10)
    svg +=
        format("<line class='grid' x1='%.0f' x2='%.0f' y1='%.1f' y2='%.1f'/>"
               "<text x='%.0f' y='%.1f' text-anchor='end'>%g</text>",
               kLeft, kWidth, y(tick), y(tick), kLeft - 6, y(tick) + 4, tick);
  for (double tick = 1; tick <= most; tick *= 4)
    svg += format("<text x='%.1f' y='%.0f' text-anchor='middle'>%g</text>",
                  x(tick), kHeight - kBottom + 18, tick);
  svg += format("<text x='%.0f' y='%.0f' text-anchor='middle'>tokens per pass "
                "over the weights</text><text x='12' y='%.0f' "
                "transform='rotate(-90 12 %.0f)' text-anchor='middle'>"
                "tokens/s</text>",
                (kWidth + kLeft) / 2, kHeight - 4, kHeight / 2 - 20,
                kHeight / 2 - 20);
  std::vector<int32_t> threadsSeen;
  for (const BenchmarkRow &row : result.rows) {
    auto known = std::ranges::find(threadsSeen, row.threads);
    const size_t series = size_t(known - threadsSeen.begin());
    const std::string color = colorOf(series);
    if (known == threadsSeen.end()) {
      threadsSeen.push_back(row.threads);
      const double roof =
          row.bandwidth * 1e9 / double(result.weightBytesPerToken);
      const double end = std::clamp(high / roof, 1.0, most);
      svg += format("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' "
                    "stroke-dasharray='5 4'><title>memory: %.1f GB/s read by "
                    "%d thread(s)</title></line>",
                    x(1), y(roof), x(end), y(roof * end), color.c_str(),
                    row.bandwidth, row.threads);
    }
    svg += format("<circle cx='%.1f' cy='%.1f' r='5' fill='%s'><title>%s, %d "
                  "thread(s): %.1f tokens/s</title></circle>",
                  x(tokensPerPass(result, row)), y(row.tokensPerSecond.median),
                  color.c_str(), row.kind.c_str(), row.threads,
                  row.tokensPerSecond.median);
  }
  svg += "</svg><p>";
  for (size_t i = 0; i < threadsSeen.size(); ++i)
    svg += format("<span class='key' style='background:%s'></span> %d "
                  "thread(s) &nbsp; ",
                  colorOf(i).c_str(), threadsSeen[i]);
  return svg + "Dashed: what reading the weights allows at the bandwidth "
               "measured in this run. Points: medians.</p>";
}

/// One bar per number of threads, cut into the kernels' shares of a token.
std::string tokenBars(const BenchmarkResult &result) {
  std::string html;
  for (size_t i = 0; i < result.kernels.size();) {
    const int32_t threads = result.kernels[i].threads;
    std::string bar, table;
    double total = 0;
    for (size_t n = 0;
         i < result.kernels.size() && result.kernels[i].threads == threads;
         ++i, ++n) {
      const KernelRow &row = result.kernels[i];
      total += row.microseconds * row.calls;
      const std::string color =
          n < std::size(kColors) ? colorOf(n) : std::string("#9ca3af");
      bar += format("<span style='width:%.2f%%;background:%s' "
                    "title='%s: %.1f%%'></span>",
                    100 * row.share, color.c_str(),
                    escapeHtml(labelOf(row)).c_str(), 100 * row.share);
      table += format(
          "<tr><td><span class='key' style='background:%s'></span> %s</td>"
          "<td>%s</td><td>%d</td><td>%.1f</td><td>%s</td><td>%.1f%%</td></tr>",
          color.c_str(), escapeHtml(labelOf(row)).c_str(), shapeOf(row).c_str(),
          row.calls, row.microseconds,
          row.bytes ? format("%.2f", row.rate).c_str() : "", 100 * row.share);
    }
    html += format("<h3>%d thread(s): %.0f us</h3><div class='bar'>%s</div>"
                   "<table><tr><th>step</th><th>weights</th><th>calls</th>"
                   "<th>us each</th><th>GB/s</th><th>share</th></tr>%s</table>",
                   threads, total, bar.c_str(), table.c_str());
  }
  return html;
}

std::string samplingTable(const BenchmarkResult &result) {
  std::string html = "<table><tr><th>sampling</th><th>logits</th><th>min "
                     "us</th><th>median</th><th>max</th></tr>";
  for (const SamplingRow &row : result.sampling)
    html += format("<tr><td>%s</td><td>%d, %s</td><td>%.1f</td><td>%.1f</td>"
                   "<td>%.1f</td></tr>",
                   row.sampling.c_str(), row.vocabulary, row.logits.c_str(),
                   row.microseconds.min, row.microseconds.median,
                   row.microseconds.max);
  return html + "</table>";
}

constexpr const char *kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:52em;margin:2em auto;"
    "padding:0 1em;color:#111827}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:right;padding:.2em .6em;border-bottom:1px solid #e5e7eb}"
    "th:first-child,td:first-child{text-align:left;word-break:break-all}"
    "svg{width:100%}svg text{font-size:12px;fill:#4b5563}.grid{stroke:#e5e7eb}"
    ".bar{display:flex;height:28px;margin:.5em 0}.key{display:inline-block;"
    "width:.8em;height:.8em;border-radius:2px}"
    "@media(prefers-color-scheme:dark){body{background:#111827;color:#e5e7eb}"
    "svg text{fill:#9ca3af}.grid,th,td{stroke:#374151;border-color:#374151}}";

} // namespace

nlohmann::ordered_json toJson(const BenchmarkResult &result) {
  nlohmann::ordered_json out;
  out["machine"] = {{"cpu", result.cpu},
                    {"variant", result.variant},
                    {"memory_access", result.memoryAccess},
                    {"prefill_form", result.prefillForm}};
  out["rows"] = nlohmann::ordered_json::array();
  for (const BenchmarkRow &row : result.rows) {
    nlohmann::ordered_json json;
    json["kind"] = row.kind;
    json["tokens"] = row.tokens;
    json["threads"] = row.threads;
    if (row.kind == "decode") {
      json["batch"] = row.batch;
      json["depth"] = row.depth;
    }
    json["tok_s"] = {{"min", row.tokensPerSecond.min},
                     {"median", row.tokensPerSecond.median},
                     {"max", row.tokensPerSecond.max}};
    json["weight_bytes_per_token"] = result.weightBytesPerToken;
    json["read_bandwidth_gb_s"] = row.bandwidth;
    if (row.kind == "decode") {
      json["gb_s"] = row.weightRate;
      json["bandwidth_fraction"] = row.bandwidthFraction;
    }
    out["rows"].push_back(json);
  }
  for (const KernelRow &row : result.kernels)
    out["kernels"].push_back({{"kernel", row.kernel},
                              {"weights", row.weights},
                              {"shape", row.shape},
                              {"threads", row.threads},
                              {"calls", row.calls},
                              {"us", row.microseconds},
                              {"bytes", row.bytes},
                              {"gb_s", row.rate},
                              {"share", row.share}});
  for (const SamplingRow &row : result.sampling)
    out["sampling"].push_back({{"sampling", row.sampling},
                               {"logits", row.logits},
                               {"vocabulary", row.vocabulary},
                               {"us",
                                {{"min", row.microseconds.min},
                                 {"median", row.microseconds.median},
                                 {"max", row.microseconds.max}}}});
  return out;
}

std::string toTable(const BenchmarkResult &result) {
  std::string text = format(
      "%s, %s, %.1f MB of weights per token\n%s\n%s\n", result.cpu.c_str(),
      result.variant.c_str(), double(result.weightBytesPerToken) / 1e6,
      result.memoryAccess.c_str(), result.prefillForm.c_str());
  if (!result.rows.empty())
    text += format("%-13s %6s %7s %9s %8s %8s %7s %7s %6s\n", "", "tokens",
                   "threads", "min tok/s", "median", "max", "GB/s", "read",
                   "share");
  for (const BenchmarkRow &row : result.rows) {
    text += format("%-13s %6d %7d %9.1f %8.1f %8.1f", nameOf(row).c_str(),
                   row.tokens, row.threads, row.tokensPerSecond.min,
                   row.tokensPerSecond.median, row.tokensPerSecond.max);
    if (row.kind == "decode")
      text += format(" %7.2f %7.2f %5.0f%%", row.weightRate, row.bandwidth,
                     100 * row.bandwidthFraction);
    text += "\n";
  }
  if (!result.kernels.empty())
    text += format("\n%7s %5s %9s %8s %6s  %s\n", "threads", "calls", "us each",
                   "GB/s", "share", "step of a decoded token");
  for (const KernelRow &row : result.kernels)
    text += format(
        "%7d %5d %9.1f %8s %5.1f%%  %s\n", row.threads, row.calls,
        row.microseconds, row.bytes ? format("%.2f", row.rate).c_str() : "",
        100 * row.share,
        (row.kernel + (row.weights.empty() ? "" : " " + row.weights + " ") +
         shapeOf(row))
            .c_str());
  if (!result.sampling.empty())
    text += format("\n%9s %8s %8s %8s  %s\n", "min us", "median", "max",
                   "logits", "choice of the next token");
  for (const SamplingRow &row : result.sampling)
    text += format("%9.1f %8.1f %8.1f %8s  %s of %d\n", row.microseconds.min,
                   row.microseconds.median, row.microseconds.max,
                   row.logits.c_str(), row.sampling.c_str(), row.vocabulary);
  return text;
}

std::string toHtml(const BenchmarkResult &result, const std::string &title) {
  std::string html =
      "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
      "<meta name='viewport' content='width=device-width'><title>" +
      escapeHtml(title) + "</title><style>" + kStyle +
      "</style></head><body><h1>" + escapeHtml(title) + "</h1>";
  html +=
      format("<p>%s, code for %s, %.1f MB of weights per token, %s, %s.</p>",
             escapeHtml(result.cpu).c_str(), escapeHtml(result.variant).c_str(),
             double(result.weightBytesPerToken) / 1e6,
             escapeHtml(result.memoryAccess).c_str(),
             escapeHtml(result.prefillForm).c_str());
  html += "<table><tr><th></th><th>tokens</th><th>threads</th><th>min "
          "tok/s</th><th>median</th><th>max</th><th>GB/s</th><th>of read "
          "GB/s</th></tr>";
  for (const BenchmarkRow &row : result.rows) {
    const bool isDecode = row.kind == "decode";
    html += format(
        "<tr><td>%s</td><td>%d</td><td>%d</td><td>%.1f</td><td>%.1f</td>"
        "<td>%.1f</td><td>%s</td><td>%s</td></tr>",
        nameOf(row).c_str(), row.tokens, row.threads, row.tokensPerSecond.min,
        row.tokensPerSecond.median, row.tokensPerSecond.max,
        isDecode ? format("%.2f", row.weightRate).c_str() : "",
        isDecode ? format("%.2f (%.0f%%)", row.bandwidth,
                          100 * row.bandwidthFraction)
                       .c_str()
                 : "");
  }
  html += "</table>";
  if (!result.rows.empty())
    html += "<h2>Roofline</h2>" + roofline(result);
  if (!result.kernels.empty())
    html +=
        "<h2>Where the time of a decoded token goes</h2>" + tokenBars(result);
  if (!result.sampling.empty())
    html += "<h2>The choice of the next token</h2>" + samplingTable(result);
  return html + "</body></html>\n";
}

} // namespace fairy2

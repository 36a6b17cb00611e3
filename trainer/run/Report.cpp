// SPDX-License-Identifier: Apache-2.0
//
// Curves as inline SVG, and tables of the recipe.
#include "trainer/run/Report.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Html.h"
#include "runtime/support/Json.h"
#include "trainer/run/RunFolder.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

/// A value of each step that has one.
using Series = std::map<int64_t, double>;

struct Run {
  nlohmann::json description; ///< the first line
  std::map<std::string, Series> series;
};

Run readRun(const fs::path &metrics) {
  const std::string text = readWholeFile(metrics.string());
  Run run;
  int64_t number = 0;
  for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
    end = std::min(text.find('\n', begin), text.size());
    const nlohmann::json line =
        parseJson(std::string_view(text).substr(begin, end - begin),
                  metrics.string() + ":" + std::to_string(++number));
    if (!line.contains("step")) {
      if (line.contains("recipe"))
        run.description = line;
      continue;
    }
    const auto step = line["step"].get<int64_t>();
    for (const auto &[name, value] : line.items())
      if (name != "step" && value.is_number())
        run.series[name][step] = value.get<double>();
  }
  return run;
}

/// At most 400 points, each the mean of its steps.
Series thinned(const Series &series) {
  constexpr size_t kMost = 400;
  if (series.size() <= kMost)
    return series;
  Series result;
  size_t index = 0, count = 0;
  double sum = 0;
  for (const auto &[step, value] : series) {
    sum += value;
    ++count;
    ++index;
    if (index * kMost / series.size() != (index - 1) * kMost / series.size()) {
      result[step] = sum / double(count);
      sum = 0;
      count = 0;
    }
  }
  return result;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

struct Curve {
  const char *name, *label, *color;
};

constexpr double kWidth = 640, kHeight = 260, kLeft = 70, kRight = 12,
                 kTop = 12, kBottom = 36;

/// The part of a chart's height and width that a value takes.
struct Range {
  double low = 1e300, high = -1e300;

  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  double share(double value) const {
    return high > low ? (value - low) / (high - low) : 0.5;
  }
};

double xOf(const Range &steps, double step) {
  return kLeft + steps.share(step) * (kWidth - kLeft - kRight);
}

double yOf(const Range &values, double value) {
  return kHeight - kBottom - values.share(value) * (kHeight - kTop - kBottom);
}

std::string axes(const Range &steps, const Range &values) {
  char text[400];
  std::string svg;
  for (int tick = 0; tick <= 4; ++tick) {
    const double value = values.low + (values.high - values.low) * tick / 4;
    const double y = yOf(values, value);
    std::snprintf(text, sizeof text,
                  "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f'/>"
                  "<text x='%.1f' y='%.1f' text-anchor='end'>%s</text>",
                  kLeft, kWidth - kRight, y, y, kLeft - 6, y + 4,
                  number(value).c_str());
    svg += text;
    const double step = steps.low + (steps.high - steps.low) * tick / 4;
    std::snprintf(text, sizeof text,
                  "<text x='%.1f' y='%.1f' text-anchor='middle'>%.0f</text>",
                  xOf(steps, step), kHeight - kBottom + 16, step);
    svg += text;
  }
  return svg;
}

/// Some curves over the steps; nothing when the run has none of them.
std::string chart(const Run &run, const std::string &title,
                  const std::vector<Curve> &curves) {
  Range steps, values;
  std::vector<std::pair<const Curve *, const Series *>> found;
  for (const Curve &curve : curves)
    if (const auto series = run.series.find(curve.name);
        series != run.series.end())
      found.emplace_back(&curve, &series->second);
  for (const auto &[curve, series] : found)
    for (const auto &[step, value] : thinned(*series)) {
      steps.add(double(step));
      values.add(value);
    }
  if (found.empty())
    return "";
  std::string legend, lines;
  for (const auto &[curve, series] : found) {
    lines += std::string("<polyline stroke='") + curve->color + "' points='";
    for (const auto &[step, value] : thinned(*series)) {
      char text[64];
      std::snprintf(text, sizeof text, "%.1f,%.1f ", xOf(steps, double(step)),
                    yOf(values, value));
      lines += text;
    }
    lines += "'/>";
    legend += std::string("<span style='color:") + curve->color + "'>&#9644; " +
              curve->label + ", last " + number(series->rbegin()->second) +
              "</span> ";
  }
  return "<h2>" + escapeHtml(title) + "</h2><p>" + legend +
         "</p><svg viewBox='0 0 " + number(kWidth) + " " + number(kHeight) +
         "' role='img'>" + axes(steps, values) + lines + "</svg>";
}

std::string table(const nlohmann::json &values) {
  std::string html = "<table>";
  for (const auto &[key, value] : values.items())
    html += "<tr><td>" + escapeHtml(key) + "</td><td>" +
            escapeHtml(value.is_string() ? value.get<std::string>()
                                         : value.dump()) +
            "</td></tr>";
  return html + "</table>";
}

constexpr const char *kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem "
    "auto;padding:0 1rem;color:#222;background:#fff}"
    "svg{width:100%}svg line{stroke:#ddd}svg text{font-size:11px;fill:#555}"
    "polyline{fill:none;stroke-width:1.5}"
    "td{padding:0 1rem 0 0;vertical-align:top;overflow-wrap:anywhere}"
    "h1{font-size:1.4rem}h2{font-size:1.1rem;margin-bottom:0}p{margin:0}";

} // namespace

std::string reportOf(const fs::path &metrics, const std::string &title) {
  const Run run = readRun(metrics);
  std::string html =
      "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
      "<meta name='viewport' content='width=device-width'><title>" +
      escapeHtml(title) + "</title><style>" + kStyle +
      "</style></head><body><h1>" + escapeHtml(title) + "</h1>";
  html += chart(run, "Loss, nats per token",
                {{"loss", "training", "#2563eb"},
                 {"validation_loss", "validation", "#dc2626"}});
  html += chart(run, "Learning rate", {{"learning_rate", "rate", "#059669"}});
  html += chart(run, "Gradient norm", {{"gradient_norm", "norm", "#7c3aed"}});
  html += chart(run, "Speed, tokens per second",
                {{"tokens_per_second", "speed", "#d97706"}});
  nlohmann::json description = run.description;
  if (description.is_object()) {
    const nlohmann::json recipe =
        description.value("recipe", nlohmann::json::object());
    description.erase("recipe");
    html +=
        "<h2>Run</h2>" + table(description) + "<h2>Recipe</h2>" + table(recipe);
  }
  return html + "</body></html>\n";
}

void writeReport(const fs::path &folder) {
  writeTextFile(
      folder / kReportFile,
      reportOf(folder / kMetricsFile,
               "fairy2-train: " + fs::absolute(folder).filename().string()));
}

} // namespace fairy2::trainer

// SPDX-License-Identifier: Apache-2.0
//
// Regular expressions of tokenizer.json, written for Oniguruma, run by PCRE2
// without JIT and under limits, since neither file nor text is trusted. The
// two dialects agree on what such files use, but for \s, \w, \h, nested
// classes and line anchors, which are translated or refused here.
#include "runtime/tokenizer/Pattern.h"

#include "dialect/Error.h"
#include "runtime/tokenizer/Utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace fairy2::tokenizer {
namespace {

constexpr uint32_t matchLimit = 1'000'000;
constexpr uint32_t depthLimit = 100'000;
constexpr uint32_t heapLimitKiB = 64 * 1024;
constexpr size_t longestPattern = 64 * 1024;

/// Rewrites an Oniguruma pattern for PCRE2.
std::string translate(const JsonField &field, std::string_view pattern) {
  constexpr const char *wordClass = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
  std::string out;
  bool inClass = false;
  size_t classStart = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const char after = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (c == '\\') {
      ++i;
      switch (after) {
      case 's':
        out += "\\p{White_Space}";
        break;
      case 'S':
        out += "\\P{White_Space}";
        break;
      case 'w':
        out += inClass ? wordClass : "[" + std::string(wordClass) + "]";
        break;
      case 'W':
        if (inClass)
          field.refuse("\\W inside a class is not supported");
        out += "[^" + std::string(wordClass) + "]";
        break;
      case 'h':
        out += inClass ? "0-9a-fA-F" : "[0-9a-fA-F]";
        break;
      case 'b':
      case 'B':
      case 'H':
      case 'K':
      case 'R':
      case 'X':
      case 'G':
      case 'g':
      case 'k':
      case 'Q':
      case 'E':
      case 'C':
      case 'N':
      case 'O':
      case 'y':
      case 'Y':
      case 'M':
      case 'c':
      case '\0':
        field.refuse("\\" + std::string(1, after) +
                     " is not supported in a regular expression");
      default:
        out += c;
        out += after;
      }
    } else if (inClass) {
      if (c == '[')
        field.refuse("a class inside a class is not supported");
      if (c == '&' && after == '&')
        field.refuse("&& inside a class is not supported");
      if (c == ']' && i > classStart)
        inClass = false;
      out += c;
    } else if (c == '[') {
      inClass = true;
      out += c;
      if (after == '^') {
        out += after;
        ++i;
      }
      classStart = i + 1; // a ']' here is an ordinary member
    } else if (c == '(' && after == '*') {
      field.refuse("(* is not supported in a regular expression");
    } else {
      out += c;
    }
  }
  return out;
}

struct Free {
  void operator()(pcre2_code *p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data *p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context *p) const { pcre2_match_context_free(p); }
};
template <typename T> using Handle = std::unique_ptr<T, Free>;

class Regex final : public Pattern {
public:
  explicit Regex(const JsonField &field) : source(field.string()) {
    if (source.size() > longestPattern)
      field.refuse("expected a regular expression of at most 65536 bytes, "
                   "found " +
                   std::to_string(source.size()));
    const std::string pattern = translate(field, source);
    int error;
    PCRE2_SIZE offset;
    code.reset(pcre2_compile(
        reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
        PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
        &error, &offset, nullptr));
    if (!code) {
      PCRE2_UCHAR text[256];
      pcre2_get_error_message(error, text, sizeof text);
      field.refuse("expected a regular expression, found " + inQuotes(source) +
                   " (" + reinterpret_cast<const char *>(text) + ")");
    }
    context.reset(pcre2_match_context_create(nullptr));
    if (!context)
      throw std::bad_alloc();
    pcre2_set_match_limit(context.get(), matchLimit);
    pcre2_set_depth_limit(context.get(), depthLimit);
    pcre2_set_heap_limit(context.get(), heapLimitKiB);
  }

  void split(std::string_view text, std::vector<Span> &spans) const override {
    const Handle<pcre2_match_data> match(
        pcre2_match_data_create_from_pattern(code.get(), nullptr));
    if (!match)
      throw std::bad_alloc();
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(match.get());
    size_t covered = 0;
    bool matchedBefore = false;
    for (size_t from = 0; from <= text.size();) {
      const int result = pcre2_match(
          code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
          from, PCRE2_NO_UTF_CHECK, match.get(), context.get());
      if (result == PCRE2_ERROR_NOMATCH)
        break;
      if (result < 0 || bounds[0] > bounds[1] || bounds[0] < covered)
        throw Error("regular expression " + inQuotes(source) +
                    ": expected to match within " + std::to_string(matchLimit) +
                    " steps, gave up in a text of " +
                    std::to_string(text.size()) + " bytes");
      const size_t begin = bounds[0], end = bounds[1];
      // An empty match right after a match would repeat for ever.
      if (begin == end && matchedBefore && end == covered) {
        if (from == text.size())
          break;
        from += codePointAt(text.data() + from).length;
        continue;
      }
      if (begin != covered)
        spans.push_back({covered, begin, false});
      spans.push_back({begin, end, true});
      covered = from = end;
      matchedBefore = true;
    }
    if (covered != text.size())
      spans.push_back({covered, text.size(), false});
  }

private:
  std::string source;
  Handle<pcre2_code> code;
  Handle<pcre2_match_context> context;
};

} // namespace

std::unique_ptr<Pattern> makeRegex(const JsonField &field) {
  return std::make_unique<Regex>(field);
}

} // namespace fairy2::tokenizer

// SPDX-License-Identifier: Apache-2.0
//
// Regular expressions of tokenizer.json, written for Oniguruma, run by PCRE2
// without JIT and under limits, since neither file nor text is trusted. The
// two dialects agree on most of what such files use; where they do not, the
// pattern is translated, or refused by name.
#include "runtime/support/Words.h"
#include "runtime/text/tokenizer/Pattern.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/text/tokenizer/Scripts.h"
#include "runtime/text/tokenizer/Unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cctype>
#include <cstring>

namespace fairy2::tokenizer {
namespace {

/// Steps of one match: enough to walk back over a long run, not to explode.
uint32_t matchLimit(size_t textSize) {
  return uint32_t(std::min<size_t>(1'000'000 + 4 * textSize, 1'000'000'000));
}
constexpr uint32_t depthLimit = 100'000;
constexpr uint32_t heapLimitKiB = 64 * 1024;
constexpr size_t longestPattern = 64 * 1024;

/// What \w matches in a class, as the inside of one.
std::string wordMembers() {
  std::string members = "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}"
                        "\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}";
  for (const char *category : {"L", "M", "Nd", "Nl", "Pc"}) {
    members += "\\p{" + std::string(category) + "}";
    members += newMembers(category);
  }
  return members;
}
/// What it matches besides when it stands alone: superscripts and fractions.
constexpr const char *lonelyWordMembers = "\\xb2\\xb3\\xb9\\xbc-\\xbe";

/// The sets of POSIX that Oniguruma takes in \p{..} and in [[:..:]], as the
/// inside of a class; "" for a name that is none.
std::string posixMembers(std::string_view name) {
  if (name == "space" || name == "whitespace" || name == "wspace")
    return "\\p{White_Space}";
  if (name == "blank")
    return "\\p{Zs}\\t";
  if (name == "xdigit" || name == "asciihexdigit" || name == "ahex")
    return "0-9a-fA-F";
  if (name == "digit")
    return "\\p{Nd}" + newMembers("Nd");
  if (name == "cntrl")
    return "\\p{Cc}";
  if (name == "ascii")
    return "\\x{0}-\\x{7f}";
  if (name == "punct")
    return "\\p{P}" + newMembers("P");
  return "";
}
/// Alone of all sets this one differs from \p{..}: it has the symbols too.
std::string punctBracketMembers() {
  return "\\p{P}\\p{S}" + newMembers("P") + newMembers("S");
}

/// A general category: its names, plain, and what PCRE2 calls it.
struct Category {
  std::string_view name, other, code;
};
constexpr Category categories[] = {{"any", "any", "Any"},
                                   {"c", "other", "C"},
                                   {"cc", "control", "Cc"},
                                   {"cf", "format", "Cf"},
                                   {"cn", "unassigned", "Cn"},
                                   {"co", "privateuse", "Co"},
                                   {"l", "letter", "L"},
                                   {"lc", "casedletter", "LC"},
                                   {"ll", "lowercaseletter", "Ll"},
                                   {"lm", "modifierletter", "Lm"},
                                   {"lo", "otherletter", "Lo"},
                                   {"lt", "titlecaseletter", "Lt"},
                                   {"lu", "uppercaseletter", "Lu"},
                                   {"m", "mark", "M"},
                                   {"m", "combiningmark", "M"},
                                   {"mc", "spacingmark", "Mc"},
                                   {"me", "enclosingmark", "Me"},
                                   {"mn", "nonspacingmark", "Mn"},
                                   {"n", "number", "N"},
                                   {"nd", "decimalnumber", "Nd"},
                                   {"nl", "letternumber", "Nl"},
                                   {"no", "othernumber", "No"},
                                   {"p", "punctuation", "P"},
                                   {"pc", "connectorpunctuation", "Pc"},
                                   {"pd", "dashpunctuation", "Pd"},
                                   {"pe", "closepunctuation", "Pe"},
                                   {"pf", "finalpunctuation", "Pf"},
                                   {"pi", "initialpunctuation", "Pi"},
                                   {"po", "otherpunctuation", "Po"},
                                   {"ps", "openpunctuation", "Ps"},
                                   {"s", "symbol", "S"},
                                   {"sc", "currencysymbol", "Sc"},
                                   {"sk", "modifiersymbol", "Sk"},
                                   {"sm", "mathsymbol", "Sm"},
                                   {"so", "othersymbol", "So"},
                                   {"z", "separator", "Z"},
                                   {"zl", "lineseparator", "Zl"},
                                   {"zp", "paragraphseparator", "Zp"},
                                   {"zs", "spaceseparator", "Zs"}};

/// Rewrites an Oniguruma pattern for PCRE2, character by character.
class Translation {
public:
  Translation(const JsonField &field, std::string_view pattern)
      : field(field), pattern(pattern) {}

  std::string run() {
    while (at < pattern.size()) {
      const char c = pattern[at];
      if (c == '\\')
        escape();
      else if (inClass)
        classMember(c);
      else if (c == '[')
        openClass();
      else if (c == '(')
        openGroup();
      else if (c == ')')
        closeGroup();
      else if (c == '}' && rest().starts_with("}+"))
        refuse("}+"); // possessive for one, another repeat for the other
      else if (rest().starts_with("{,"))
        refuse("{,");
      else
        copy(1);
    }
    return std::move(out);
  }

private:
  void copy(size_t count) {
    out += pattern.substr(at, count);
    at += count;
  }
  /// A set of characters given as the inside of a class.
  void set(const std::string &members, bool negated) {
    if (inClass && negated)
      field.refuse("a negated set such as \\W inside a class is not supported");
    out += inClass ? members : (negated ? "[^" : "[") + members + "]";
  }

  [[noreturn]] void refuse(std::string_view construct) {
    field.refuse(std::string(construct) +
                 " is not supported in a regular expression");
  }
  std::string_view rest() const { return pattern.substr(at); }

  void openGroup() {
    if (rest().starts_with("(*"))
      refuse("(*");
    // Options such as (?i) and (?i:..); of these only i means the same.
    const size_t end =
        std::min(pattern.find_first_of(":)", at), pattern.size());
    const std::string_view options = pattern.substr(at, end - at);
    if (options.size() > 2 && options[1] == '?' &&
        (std::isalpha(static_cast<unsigned char>(options[2])) ||
         options[2] == '-')) {
      if (options != "(?i")
        refuse(options);
      refuseFoldings();
      if (pattern.substr(end).starts_with(')')) { // to the end of the group
        caseless.back() = true;
        copy(end + 1 - at);
        return;
      }
      caseless.push_back(true);
    } else {
      caseless.push_back(caseless.back());
    }
    copy(1);
  }
  void closeGroup() {
    if (caseless.size() > 1)
      caseless.pop_back();
    copy(1);
  }
  /// Without case Oniguruma also takes one letter for two: a sharp s for "ss".
  void refuseFoldings() {
    std::string lower;
    for (char c : pattern) {
      if (uint8_t(c) >= 0x80)
        refuse("a letter beyond ASCII beside (?i");
      lower += char(std::tolower(static_cast<unsigned char>(c)));
    }
    for (const char *pair : {"ss", "ff", "fi", "fl", "st"})
      if (lower.find(pair) != lower.npos)
        refuse(std::string(pair) + " beside (?i");
  }

  void openClass() {
    inClass = true;
    copy(rest().starts_with("[^") ? 2 : 1);
    // A bracket that comes first is a member.
    if (rest().starts_with(']'))
      copy(1);
  }
  void classMember(char c) {
    if (c == '[') {
      posixBracket();
      return;
    }
    if (rest().starts_with("&&"))
      field.refuse("&& inside a class is not supported");
    inClass = c != ']';
    copy(1);
  }

  /// [:punct:] inside a class.
  void posixBracket() {
    const size_t end = pattern.find(":]", at);
    if (!rest().starts_with("[:") || end == pattern.npos)
      field.refuse("a class inside a class is not supported");
    std::string_view name = pattern.substr(at + 2, end - at - 2);
    const bool negated = name.starts_with('^');
    if (negated)
      name.remove_prefix(1);
    const std::string members = name == "word"    ? wordMembers()
                                : name == "punct" ? punctBracketMembers()
                                                  : posixMembers(name);
    if (members.empty())
      refuse(pattern.substr(at, end + 2 - at));
    set(members, negated);
    at = end + 2;
  }

  void escape() {
    const char name = at + 1 < pattern.size() ? pattern[at + 1] : '\0';
    switch (name) {
    case 's':
    case 'S':
      out += name == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
      break;
    case 'w':
    case 'W':
      set(wordMembers() + (inClass ? "" : lonelyWordMembers), name == 'W');
      break;
    case 'd':
    case 'D':
      set("\\p{Nd}" + newMembers("Nd"), name == 'D');
      break;
    case 'v':
      out += "\\x0b";
      break;
    case 'h':
    case 'H':
      set("0-9a-fA-F", name == 'H');
      break;
    case 'u': {
      const std::string_view digits = pattern.substr(at + 2).substr(0, 4);
      if (digits.size() < 4 ||
          !std::all_of(digits.begin(), digits.end(),
                       [](unsigned char c) { return std::isxdigit(c); }))
        field.refuse(
            "expected four digits after \\u in the regular expression");
      out += "\\x{" + std::string(digits) + "}";
      at += 6;
      return;
    }
    case 'p':
    case 'P':
      property(name == 'P');
      return;
    default:
      // Escapes of letters mean different things; only these agree.
      if (std::isalnum(static_cast<unsigned char>(name)) &&
          !std::strchr("rntfaexAzZ0", name))
        refuse(pattern.substr(at, 2));
      if (name == '\0')
        field.refuse("expected a character after \\ at the end of the regular "
                     "expression");
      copy(2);
      return;
    }
    at += 2;
  }

  /// \p{L}: a script or a general category.
  void property(bool negated) {
    const size_t end = pattern.find('}', at);
    if (!pattern.substr(at + 2).starts_with('{') || end == pattern.npos)
      field.refuse("expected \\p{NAME} in the regular expression");
    std::string_view written = pattern.substr(at + 3, end - at - 3);
    if (written.starts_with('^')) {
      written.remove_prefix(1);
      negated = !negated;
    }
    const std::string name = plainPropertyName(written);
    if (const auto members = scriptMembers(name, negated)) {
      refuseWithoutCase(end);
      out += inClass ? *members : "[" + *members + "]";
    } else if (const std::string members = posixMembers(name);
               !members.empty()) {
      set(members, negated);
    } else {
      const auto category = std::find_if(
          std::begin(categories), std::end(categories),
          [&](const Category &c) { return name == c.name || name == c.other; });
      if (category == std::end(categories))
        refuse(pattern.substr(at, end + 1 - at));
      if (category->code.starts_with('L') && category->code != "L" &&
          category->code != "Lm" && category->code != "Lo")
        refuseWithoutCase(end);
      addCategory(category->code, negated);
    }
    at = end + 1;
  }

  /// Without case PCRE2 finds a property's letters in the other case too;
  /// Oniguruma does so in a class alone.
  void refuseWithoutCase(size_t end) {
    if (caseless.back())
      refuse(std::string(pattern.substr(at, end + 1 - at)) + " under (?i");
  }

  /// PCRE2's tables may be older, so what is missing is added.
  void addCategory(std::string_view code, bool negated) {
    if (code == "Any") {
      set("\\x{0}-\\x{10ffff}", negated);
    } else if (code == "LC") {
      set("\\p{Lu}\\p{Ll}\\p{Lt}" + newMembers("Lu") + newMembers("Ll") +
              newMembers("Lt"),
          negated);
    } else if (code == "C" || code == "Cn") {
      // What has been assigned since is to be taken away.
      std::string assigned = "\\P{" + std::string(code) + "}";
      for (const char *other : {"L", "M", "N", "P", "S", "Z"})
        assigned += newMembers(other);
      if (code == "Cn")
        assigned += newMembers("Cf");
      set(assigned, !negated);
    } else {
      const std::string plain = "{" + std::string(code) + "}";
      const std::string added = newMembers(code);
      if (added.empty() || (inClass && negated))
        out += (negated ? "\\P" : "\\p") + plain;
      else
        set("\\p" + plain + added, negated);
    }
  }

  const JsonField &field;
  std::string_view pattern;
  std::string out;
  size_t at = 0;
  bool inClass = false;
  std::vector<bool> caseless = {false}; ///< of the open groups
};

struct Free {
  void operator()(pcre2_code *p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data *p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_compile_context *p) const {
    pcre2_compile_context_free(p);
  }
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
    const std::string pattern = Translation(field, source).run();
    int error;
    PCRE2_SIZE offset;
    const Handle<pcre2_compile_context> settings(
        pcre2_compile_context_create(nullptr));
    if (!settings)
      throw std::bad_alloc();
    pcre2_set_newline(settings.get(), PCRE2_NEWLINE_LF);
    code.reset(pcre2_compile(
        reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
        PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
        &error, &offset, settings.get()));
    if (!code) {
      PCRE2_UCHAR text[256];
      pcre2_get_error_message(error, text, sizeof text);
      field.refuse("expected a regular expression, found " +
                   quoteName(source, '"') + " (" +
                   reinterpret_cast<const char *>(text) + ")");
    }
    context.reset(pcre2_match_context_create(nullptr));
    if (!context)
      throw std::bad_alloc();
    pcre2_set_depth_limit(context.get(), depthLimit);
    pcre2_set_heap_limit(context.get(), heapLimitKiB);
  }

  void split(std::string_view text, std::vector<Span> &spans) const override {
    if (text.empty())
      return;
    const Handle<pcre2_match_data> match(
        pcre2_match_data_create_from_pattern(code.get(), nullptr));
    const Handle<pcre2_match_context> limits(
        pcre2_match_context_copy(context.get()));
    if (!match || !limits)
      throw std::bad_alloc();
    const uint32_t limit = matchLimit(text.size());
    pcre2_set_match_limit(limits.get(), limit);
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(match.get());
    size_t covered = 0;
    bool matchedBefore = false;
    for (size_t from = 0; from <= text.size();) {
      const int result = pcre2_match(
          code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
          from, PCRE2_NO_UTF_CHECK, match.get(), limits.get());
      if (result == PCRE2_ERROR_NOMATCH)
        break;
      if (result < 0 || bounds[0] > bounds[1] || bounds[0] < covered)
        throw Error("regular expression " + quoteName(source, '"') +
                    ": expected to match within " + std::to_string(limit) +
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

// SPDX-License-Identifier: Apache-2.0
//
// The template engine against golden renderings of Python's jinja2 (see
// make_golden.py), its limits against templates that want too much, and the
// marks that keep a user's text from becoming a control token.
#include "runtime/ChatTemplate.h"
#include "runtime/support/Error.h"
#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

#include <chrono>

using namespace fairy2;

namespace {

const std::string kFolder = FAIRY2_SOURCE_DIR "/test/unit/jinja/";

/// The text, or the message of the Error.
std::string
render(const std::string &source,
       const nlohmann::ordered_json &messages = nlohmann::ordered_json::array(),
       const RenderOptions &options = {}) {
  try {
    return ChatTemplate(source, {{"bos_token", "<s>"}, {"eos_token", "</s>"}})
        .render(messages, options)
        .text;
  } catch (const Error &error) {
    // What raise_exception says are the template's own words.
    if (source.find("raise_exception") == source.npos)
      EXPECT_EQ(formFault(error.what()), "") << error.what();
    return error.what();
  }
}

TEST(JinjaTest, RendersWhatJinja2Renders) {
  const auto golden =
      nlohmann::ordered_json::parse(readFile(kFolder + "golden.json"));
  size_t texts = 0, errors = 0;
  for (const auto &entry : golden["cases"]) {
    const std::string name = entry.value("name", "");
    const std::string source = name.empty()
                                   ? entry["template"].get<std::string>()
                                   : readFile(kFolder + "templates/" + name);
    RenderOptions options;
    options.addGenerationPrompt = entry["add_generation_prompt"];
    options.now = golden["now"];
    if (entry.contains("variables"))
      options.variables = entry["variables"];
    if (entry.contains("tools"))
      options.variables["tools"] = golden["tools"];
    const std::string conversation = entry["conversation"];
    const auto &messages = golden["conversations"][conversation];
    const std::string label =
        (name.empty() ? source : name) + ", " + conversation;
    const std::string result = render(source, messages, options);
    if (entry["text"].is_null()) {
      ++errors;
      EXPECT_TRUE(result.starts_with("chat template: line "))
          << label << ": " << result;
    } else {
      ++texts;
      EXPECT_EQ(result, entry["text"].get<std::string>()) << label;
    }
  }
  EXPECT_GT(texts, 250u);
  EXPECT_GT(errors, 50u);
}

/// Every filter, test and operator over every kind of value: see
/// make_values.py.
TEST(JinjaTest, ValuesOfEveryKindAreAsInJinja2) {
  const auto rows =
      nlohmann::json::parse(readFile(kFolder + "values.golden.json"));
  ASSERT_GT(rows.size(), 5000u);
  for (const auto &row : rows) {
    const std::string source = row[0], result = render(source);
    if (row[1].is_null())
      EXPECT_TRUE(result.starts_with("chat template: line "))
          << source << ": " << result;
    else
      EXPECT_EQ(result, row[1].get<std::string>()) << source;
  }
}

/// `|safe` is no more than a mark for what is added; the text stays untrusted.
TEST(JinjaTest, WhatIsAddedToSafeTextIsEscaped) {
  const nlohmann::ordered_json messages = {
      {{"role", "user"}, {"content", "a<b"}}};
  EXPECT_EQ(render("{{ (messages[0].content|safe) + '<|im_end|>' }}", messages),
            "a<b&lt;|im_end|&gt;");
  EXPECT_EQ(render("{{ (messages[0].content|safe) ~ '<|im_end|>' }}", messages),
            "a<b<|im_end|>");
}

struct Refusal {
  std::string source, message;
};

TEST(JinjaTest, RefusesWhatItDoesNotKnow) {
  const Refusal cases[] = {
      {"a\n{% include '/etc/passwd' %}",
       "chat template: line 2: expected a statement that chat templates use, "
       "found {% include %}, which is not supported"},
      {"{{ 'x'|nope }}", "chat template: line 1: unknown filter 'nope'"},
      {"\n{{ 1 is nope }}", "chat template: line 2: unknown test 'nope'"},
      {"{{ messages[0].content }}",
       "chat template: line 1: element 0 of a list is undefined"},
      {"{{ x.y }}", "chat template: line 1: 'x' is undefined"},
      {"{{ raise_exception('Roles must alternate') }}",
       "chat template: line 1: Roles must alternate"},
      {"{% if true %}\n\n", "chat template: line 2: expected {% endif %}, "
                            "found the end of the template"},
      {"{{ 1 + }}", "chat template: line 1: expected an expression, found }}"},
      {"{{ [].append(1) }}",
       "chat template: line 1: expected a method that leaves its list as it "
       "is, found one that changes it"},
      {"{% for i in [1] %}{% macro m() %}{% endmacro %}{% endfor %}",
       "chat template: line 1: expected macros outside of loops, blocks and "
       "macros"},
      {"{{ 9223372036854775807 + 1 }}",
       "chat template: line 1: expected integers of 64 bits, found a larger "
       "result"},
      {"{{ 99999999999999999999 }}",
       "chat template: line 1: expected a number in range, found "
       "'99999999999999999999'"}};
  for (const Refusal &refusal : cases)
    EXPECT_EQ(render(refusal.source), refusal.message) << refusal.source;
}

/// Templates from a stranger that want all the time or memory there is.
TEST(JinjaTest, StopsWhatHasNoEnd) {
  const std::string tooMuch =
      "expected a rendering of at most 33554432 steps, found more work to do";
  const std::string tooDeep = "nested at most ";
  const auto repeated = [](const std::string &text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i)
      result += text;
    return result;
  };
  const Refusal cases[] = {
      {"{% for i in range(10**9) %}x{% endfor %}",
       "range: expected at most 100000 elements, found more"},
      {repeated("{% for i in range(100000) %}", 4) + "x" +
           repeated("{% endfor %}", 4),
       tooMuch},
      {"{{ 'x' * 10**9 }}", tooMuch},
      {"{{ [0] * 10**9 }}", tooMuch},
      {"{% set ns = namespace(s='xy') %}{% for i in range(99) %}"
       "{% set ns.s = ns.s + ns.s %}{% endfor %}",
       tooMuch},
      {"{% set ns = namespace(s=[1]) %}{% for i in range(99) %}"
       "{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
       tooMuch},
      {"{% set ns = namespace(s=[1]) %}{% for i in range(999) %}"
       "{% set ns.s = [ns.s] %}{% endfor %}",
       tooDeep},
      {"{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
       "expected a value that can be printed, found a namespace"},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", tooDeep},
      {"{% macro m(a) %}{{ m(a ~ a) }}{% endmacro %}{{ m('xx') }}", ""},
      {"{{ " + repeated("(", 10000) + "1" + repeated(")", 10000) + " }}",
       tooDeep},
      {"{{ " + repeated("not ", 10000) + "1 }}", tooDeep},
      {"{{ " + repeated("-", 10000) + "1 }}", tooDeep},
      {"{{ 1" + repeated(" + 1", 10000) + " }}", tooDeep},
      {"{{ x" + repeated("|trim", 10000) + " }}", tooDeep},
      {"{{ x" + repeated(".a", 10000) + " }}", tooDeep},
      {"{{ " + repeated("[", 10000) + repeated("]", 10000) + " }}", tooDeep},
      {"{{ 1" + repeated(" if 1 else 1", 10000) + " }}", tooDeep},
      {repeated("{% if 1 %}", 10000), tooDeep},
      {"{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}", tooMuch},
      {"{{ ('a' * 1000000).count('a' * 500000 ~ 'b') }}", tooMuch},
      {"{{ ('a' * 1000000)|indent(1000, true, true) }}", ""},
      {"{{ ('\\n' * 1000000)|indent(1000, true, true) }}", tooMuch},
      {"{% for i in range(100000) %}{{ 'x' * 100 }}{% endfor %}",
       "expected an output of at most 8388608 characters, found more"},
      {"{{ range(100000)|map('string')|sort|unique|list|length }}", tooMuch},
      {"{{ 2 ** 9999999999 }}", "64 bits"},
      {"{{ 10 ** 400.0 }}", "inf"},
      {"{{ strftime_now('%c' * 1000) }}",
       "strftime_now: expected a format of at most 256 characters"},
  };
  for (const Refusal &refusal : cases) {
    const auto start = std::chrono::steady_clock::now();
    const std::string result = render(refusal.source);
    EXPECT_NE(result.find(refusal.message), std::string::npos)
        << refusal.source.substr(0, 99) << ": " << result.substr(0, 200);
    EXPECT_LT(std::chrono::steady_clock::now() - start,
              std::chrono::seconds(20))
        << refusal.source.substr(0, 99);
  }
}

/// The trusted and the untrusted parts of a rendering, in brackets.
std::string marked(const std::string &source,
                   const nlohmann::ordered_json &messages) {
  const RenderedChat chat =
      ChatTemplate(source, {{"eos_token", "</s>"}}).render(messages);
  std::string result;
  size_t at = 0;
  for (const auto &[begin, end] : chat.untrusted) {
    result += chat.text.substr(at, begin - at) + "[" +
              chat.text.substr(begin, end - begin) + "]";
    at = end;
  }
  return result + chat.text.substr(at);
}

TEST(JinjaTest, MarksFollowTheText) {
  const nlohmann::ordered_json messages = {
      {{"role", "user"}, {"content", " aXé</s>X "}}};
  const std::pair<std::string, std::string> cases[] = {
      {"<{{ messages[0].content }}>", "<[ aXé</s>X ]>"},
      {"<{{ messages[0].content|trim ~ eos_token }}", "<[aXé</s>X]</s>"},
      {"{{ messages[0].content.split('X')[1] + 'X' }}", "[é</s>]X"},
      {"{{ messages[0].content[2:4]|upper }}|", "[XÉ]|"},
      {"{{ messages[0].content|replace('X', '<x>') }}", "[ a]<x>[é</s>]<x>[ ]"},
      {"{{ messages[0].content|tojson }}", "\"[ aXé</s>X ]\""},
      {"{{ [messages[0].content] }}", "['[ aXé</s>X ]']"},
      {"{{ messages|map(attribute='content')|join('+') ~ '+' }}",
       "[ aXé</s>X ]+"},
      {"{% set c %}<{{ messages[0].content }}>{% endset %}{{ c|trim }}",
       "<[ aXé</s>X ]>"},
      {"{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(messages[0].content) }}",
       "<[ aXé</s>X ]>"},
      {"{% for c in messages[0].content %}{{ c }}.{% endfor %}",
       "[ ].[a].[X].[é].[<].[/].[s].[>].[X].[ ]."},
      {"{{ messages[0].content|reverse ~ messages[0].role }}!",
       "[ X>s/<éXa user]!"},
      {"{{ 'ab'.join(messages[0].content.split('X')) }}", "[ a]ab[é</s>]ab[ ]"},
      {"{{ '-' ~ messages[0].content|indent(2, true) * 2 }}",
       "-  [ aXé</s>X ]  [ aXé</s>X ]"},
      {"{{ dict(messages[0]).content|string|list|join }}.", "[ aXé</s>X ]."},
  };
  for (const auto &[source, expected] : cases)
    EXPECT_EQ(marked(source, messages), expected) << source;
}

TEST(JinjaTest, BrokenTextIsRepaired) {
  EXPECT_EQ(render("{{ messages[0] }}", {"a\xff\xc3"}), "a\ufffd\ufffd");
  EXPECT_EQ(render("\xff{{ 1 }}"), "\ufffd1");
  EXPECT_EQ(render("{{ messages }}", "text"),
            "chat template: messages: expected a list, found string");
}

} // namespace

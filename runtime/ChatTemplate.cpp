// SPDX-License-Identifier: Apache-2.0
//
// Messages become values of the template language whose strings are marked as
// untrusted; the marks come out as ranges.
#include "runtime/ChatTemplate.h"

#include "runtime/Status.h"

namespace fairy2 {
namespace {

using jinja::Value;

template <typename Body> auto inTemplate(const Body &body) {
  try {
    return body();
  } catch (const Error &error) {
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      std::string("chat template: ") + error.what());
  }
}

/// Deeper values are refused by Value::list too; this bounds the recursion.
constexpr int kMaxDepth = 100;

Value valueOf(const nlohmann::ordered_json &json, bool trusted, int depth = 0) {
  if (depth > kMaxDepth)
    throw Error("messages: expected lists and objects nested at most " +
                std::to_string(kMaxDepth) + " deep, found more");
  using Type = nlohmann::json::value_t;
  switch (json.type()) {
  case Type::boolean:
    return json.get<bool>();
  case Type::number_integer:
    return json.get<int64_t>();
  case Type::number_unsigned:
    if (json.get<uint64_t>() <= uint64_t(INT64_MAX))
      return json.get<int64_t>();
    return json.get<double>();
  case Type::number_float:
    return json.get<double>();
  case Type::string:
    return jinja::textOf(json.get_ref<const std::string &>(), trusted);
  case Type::array: {
    std::vector<Value> items;
    for (const auto &item : json)
      items.push_back(valueOf(item, trusted, depth + 1));
    return Value::list(std::move(items));
  }
  case Type::object: {
    std::vector<std::pair<Value, Value>> members;
    for (const auto &[key, value] : json.items())
      members.emplace_back(jinja::textOf(key, trusted),
                           valueOf(value, trusted, depth + 1));
    return Value::dict(std::move(members));
  }
  default:
    return {};
  }
}

RenderedChat separate(const jinja::Text &text) {
  RenderedChat result;
  for (size_t begin = 0; begin < text.size();) {
    const char32_t mark = text[begin] & jinja::kUntrusted;
    size_t end = begin;
    while (end < text.size() && (text[end] & jinja::kUntrusted) == mark)
      ++end;
    const size_t at = result.text.size();
    result.text +=
        jinja::utf8Of(jinja::TextView(text).substr(begin, end - begin));
    if (mark)
      result.untrusted.push_back({at, result.text.size()});
    begin = end;
  }
  return result;
}

} // namespace

ChatTemplate::ChatTemplate(
    std::string_view source,
    const std::map<std::string, std::string> &specialTokens)
    : parsed(inTemplate([&] { return jinja::Template(source); })) {
  for (const auto &[name, text] : specialTokens)
    this->specialTokens.emplace_back(name, Value::trusted(text));
}

RenderedChat ChatTemplate::render(const nlohmann::ordered_json &messages,
                                  const RenderOptions &options) const {
  return inTemplate([&] {
    if (!messages.is_array())
      throw Error(std::string("messages: expected a list, found ") +
                  messages.type_name());
    // As transformers passes them, tools and documents included.
    jinja::Variables variables = specialTokens;
    variables.emplace_back("messages", valueOf(messages, false));
    variables.emplace_back("tools", Value());
    variables.emplace_back("documents", Value());
    variables.emplace_back("add_generation_prompt",
                           options.addGenerationPrompt);
    for (const auto &[name, value] : options.variables.items())
      variables.emplace_back(name, valueOf(value, false));
    return separate(parsed.render(variables, options.now));
  });
}

} // namespace fairy2

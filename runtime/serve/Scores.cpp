// SPDX-License-Identifier: Apache-2.0
//
// Tokens and their probabilities as JSON.
#include "runtime/serve/Scores.h"

#include "runtime/support/Utf8.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace fairy2::serve {
namespace {

using nlohmann::ordered_json;

void append(std::string &list, std::string_view item) {
  if (!list.empty())
    list += ',';
  list += item;
}

/// The likeliest and the token itself, which may be one of them. Of tokens
/// that are written alike the likelier counts.
std::string mapOf(const Tokenizer &tokenizer, const TokenScore &score) {
  std::vector<std::pair<std::string, float>> entries;
  const auto add = [&](const TokenProbability &one) {
    std::string name = tokenName(tokenizer.bytesOf(one.id));
    const auto found =
        std::ranges::find(entries, name, &std::pair<std::string, float>::first);
    if (found == entries.end())
      entries.emplace_back(std::move(name), one.logprob);
    else
      found->second = std::max(found->second, one.logprob);
  };
  for (const TokenProbability &one : score.best)
    add(one);
  add(score.token);
  std::string map;
  for (const auto &[name, logprob] : entries)
    append(map, jsonText(name) + ":" + numberOf(logprob));
  return "{" + map + "}";
}

/// {"token", "logprob", "bytes" without the last bracket.
std::string openEntry(const Tokenizer &tokenizer, const TokenProbability &one) {
  const std::string bytes = tokenizer.bytesOf(one.id);
  std::string numbers;
  for (const char byte : bytes)
    append(numbers, std::to_string((unsigned char)byte));
  return "{\"token\":" + jsonText(tokenName(bytes)) +
         ",\"logprob\":" + numberOf(one.logprob) +
         ",\"bytes\":" + (bytes.empty() ? "null" : "[" + numbers + "]");
}

} // namespace

std::string jsonText(std::string_view text) {
  return ordered_json(text).dump(-1, ' ', false,
                                 ordered_json::error_handler_t::replace);
}

std::string tokenName(std::string_view bytes) {
  if (isValidUtf8(bytes))
    return std::string(bytes);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string name = "bytes:";
  for (const char byte : bytes)
    name.append("\\x")
        .append(1, digits[(unsigned char)byte >> 4])
        .append(1, digits[byte & 15]);
  return name;
}

std::string numberOf(float value) {
  value = std::max(value, std::numeric_limits<float>::lowest());
  // Clients add doubles up: the sums are to be those of the floats.
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, double(value)).ptr;
  return {text, end};
}

size_t codePoints(std::string_view text) {
  return size_t(std::ranges::count_if(
      text, [](char byte) { return !isContinuation(byte); }));
}

size_t Offsets::next(int32_t id) {
  if (options.skipsSpecial && tokenizer->isSpecial(id))
    return place;
  std::string bytes = tokenizer->bytesOf(id);
  if (std::exchange(options.beginsText, false) && bytes.starts_with(' ') &&
      !tokenizer->decode(std::span(&id, 1), false).starts_with(' '))
    bytes.erase(0, 1);
  const bool isWithin = place > 0 && !bytes.empty() && isContinuation(bytes[0]);
  const size_t begin = place - isWithin;
  place += codePoints(bytes);
  return begin;
}

void ScoreArrays::add(const Tokenizer &tokenizer, int32_t id,
                      const TokenScore *score, size_t offset) {
  append(tokens, jsonText(tokenName(tokenizer.bytesOf(id))));
  append(logprobs, score ? numberOf(score->token.logprob) : "null");
  append(best, score ? mapOf(tokenizer, *score) : "null");
  append(offsets, std::to_string(offset));
}

std::string ScoreArrays::take() {
  std::string json = "{\"tokens\":[" + std::exchange(tokens, {}) +
                     "],\"token_logprobs\":[" + std::exchange(logprobs, {}) +
                     "],\"top_logprobs\":[" + std::exchange(best, {}) +
                     "],\"text_offset\":[" + std::exchange(offsets, {}) + "]}";
  return json;
}

void ScoreList::add(const Tokenizer &tokenizer, const TokenScore &score,
                    size_t offset) {
  std::string others;
  for (const TokenProbability &one : score.best)
    append(others, openEntry(tokenizer, one) + "}");
  held.push_back({openEntry(tokenizer, score.token) + ",\"top_logprobs\":[" +
                      others + "]}",
                  offset});
}

std::string ScoreList::take(size_t end) {
  std::string list;
  while (!held.empty() && held.front().offset < end) {
    append(list, held.front().json);
    held.pop_front();
  }
  return "{\"content\":[" + list + "],\"refusal\":null}";
}

} // namespace fairy2::serve

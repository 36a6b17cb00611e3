// SPDX-License-Identifier: Apache-2.0
//
// Only the template for a single text matters here: nothing in this project
// encodes pairs of texts.
#include "runtime/text/tokenizer/PostProcessor.h"

#include "runtime/support/Words.h"

namespace fairy2::tokenizer {

PostProcessor::PostProcessor(const JsonField &field, int64_t end) {
  if (!field.isNull())
    read(field, end);
}

void PostProcessor::read(const JsonField &field, int64_t end) {
  const std::string type = field["type"].string();
  if (type == "Sequence") {
    field.requireKeys({"type", "processors"});
    for (const JsonField &element : field["processors"].elements())
      read(element, end);
    return;
  }
  if (type == "ByteLevel") // trims offsets, which are not kept here
    return;
  if (addsTokens)
    field.refuse("a second post-processor that adds tokens is not supported");
  addsTokens = true;
  if (type == "TemplateProcessing") {
    readTemplate(field, end);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    const auto idOf = [&](const char *name) {
      const std::vector<JsonField> pair = field[name].elements();
      if (pair.size() != 2)
        field[name].fail("a token and its id");
      return int32_t(pair[1].integer(0, end - 1));
    };
    around = {{idOf("cls")}, {idOf("sep")}};
  } else {
    field["type"].refuse("the post-processor " + quoteName(type, '"') +
                         " is not supported");
  }
}

void PostProcessor::readTemplate(const JsonField &field, int64_t end) {
  field.requireKeys({"type", "single", "pair", "special_tokens"});
  bool seenText = false;
  for (const JsonField &element : field["single"].elements()) {
    element.requireKeys({"SpecialToken", "Sequence"});
    if (const JsonField text = element["Sequence"]; !text.isNull()) {
      if (text["id"].string() != "A" || seenText)
        text["id"].refuse("expected \"A\" once in the template of one text");
      seenText = true;
      continue;
    }
    const JsonField name = element["SpecialToken"]["id"];
    const JsonField ids = field["special_tokens"][name.string()]["ids"];
    for (const JsonField &id : ids.elements())
      (seenText ? around.after : around.before)
          .push_back(int32_t(id.integer(0, end - 1)));
  }
  if (!seenText)
    field["single"].refuse("expected the text, \"A\", in the template");
}

} // namespace fairy2::tokenizer

// SPDX-License-Identifier: Apache-2.0
//
// Renders templates for compare_with_jinja2.py: JSON lines in, {"text"} or
// {"error"} out.
#include "runtime/ChatTemplate.h"
#include "runtime/support/Error.h"

#include <iostream>
#include <string>

using namespace fairy2;

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = nlohmann::ordered_json::parse(line);
    nlohmann::ordered_json reply;
    try {
      const ChatTemplate chat(
          request["template"].get<std::string>(),
          request["special_tokens"].get<std::map<std::string, std::string>>());
      RenderOptions options;
      options.addGenerationPrompt = request["add_generation_prompt"];
      options.variables = request["variables"];
      options.now = request["now"];
      reply["text"] = chat.render(request["messages"], options).text;
    } catch (const Error &error) {
      reply["error"] = error.what();
    }
    std::cout << reply.dump() << std::endl;
  }
}

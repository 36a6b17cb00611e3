// SPDX-License-Identifier: Apache-2.0
//
// Options of pipelines that are written once: a member here is an option of the
// pipeline in fairy2-opt, a flag of fairy2-compile with its checks and its
// help, and a word of what --print-opt-command prints.
#pragma once

#include "passes/Choices.h"
#include "runtime/support/Error.h"

#include "mlir/Pass/PassOptions.h"
#include "llvm/ADT/StringExtras.h"

#include <functional>
#include <string>
#include <vector>

namespace fairy2 {

/// An option as a command line sees it.
struct Flag {
  std::string name;
  std::string help; ///< with its values and its default
  std::string valueName;
  bool isList = false; ///< may be repeated
  /// Takes a value, or one more of a list. Throws Error: "expected ..".
  std::function<void(const std::string &)> set;
  /// " name=value" for fairy2-opt; "" where nobody has asked for a value.
  std::function<std::string()> text;
};

template <typename Derived>
class PipelineOptions : public mlir::PassPipelineOptions<Derived> {
public:
  /// In the order of their declarations; what users of fairy2-compile say in
  /// other words is not among them.
  const std::vector<Flag> &flags() const { return allFlags; }

  /// "{a=1 b=2}" of what was asked for, or "".
  std::string text() const {
    std::string text;
    for (const std::vector<Flag> *list : {&unnamed, &allFlags})
      for (const Flag &flag : *list)
        text += flag.text();
    return text.empty() ? text : "{" + text.substr(1) + "}";
  }

protected:
  /// A value of an enumeration. `flagDefault` is what the help says where the
  /// tool chooses, and not the pipeline.
  template <typename Enum, size_t count>
  class Choice : public mlir::detail::PassOptions::Option<Enum> {
  public:
    using Base = mlir::detail::PassOptions::Option<Enum>;
    using Base::operator=;
    Choice(PipelineOptions &parent, llvm::StringRef name,
           const std::array<Enum, count> &values, Enum initial,
           llvm::StringRef help, bool isFlag = true,
           std::string flagDefault = "")
        : Base(parent, name, llvm::cl::desc(help), llvm::cl::init(initial),
               Choices(values)) {
      std::string names;
      for (Enum value : values)
        names += (names.empty() ? "" : ", ") + wordOf(value);
      auto set = [this, values, names](const std::string &word) {
        for (Enum value : values)
          if (word == wordOf(value)) {
            *this = value;
            return;
          }
        throw Error("expected one of " + names + ", found '" + word + "'");
      };
      parent.add({name.str(),
                  help.str() + " (" + names + "; default " +
                      (flagDefault.empty() ? wordOf(initial) : flagDefault) +
                      ")",
                  "NAME", false, set,
                  [this] {
                    return this->hasValue() ? " " + this->ArgStr.str() + "=" +
                                                  nameOf(this->getValue())
                                            : "";
                  }},
                 isFlag);
    }

  private:
    /// Words of a command line have hyphens.
    static std::string wordOf(Enum value) {
      std::string word = nameOf(value);
      std::replace(word.begin(), word.end(), '_', '-');
      return word;
    }
  };

  class Number : public mlir::detail::PassOptions::Option<int64_t> {
  public:
    using Base = mlir::detail::PassOptions::Option<int64_t>;
    using Base::operator=;
    Number(PipelineOptions &parent, llvm::StringRef name, int64_t smallest,
           int64_t largest, int64_t initial, llvm::StringRef help,
           std::string flagDefault = "")
        : Base(parent, name, llvm::cl::desc(help), llvm::cl::init(initial)) {
      const std::string range = "expected a number from " +
                                std::to_string(smallest) + " to " +
                                std::to_string(largest) + ", found '";
      auto set = [this, smallest, largest, range](const std::string &word) {
        int64_t value = 0;
        if (!llvm::to_integer(word, value, 10) || value < smallest ||
            value > largest)
          throw Error(range + word + "'");
        *this = value;
      };
      parent.add(
          {name.str(),
           help.str() + " (" + std::to_string(smallest) + " to " +
               std::to_string(largest) + "; default " +
               (flagDefault.empty() ? std::to_string(initial) : flagDefault) +
               ")",
           "NUMBER", false, set, [this] {
             return this->hasValue() ? " " + this->ArgStr.str() + "=" +
                                           std::to_string(getValue())
                                     : "";
           }});
    }
  };

  /// Words in any number; each may hold any character but unbalanced braces
  /// and quotes.
  class Words : public mlir::detail::PassOptions::ListOption<std::string> {
  public:
    using Base = mlir::detail::PassOptions::ListOption<std::string>;
    using Base::operator=;
    Words(PipelineOptions &parent, llvm::StringRef name,
          llvm::StringRef valueName, llvm::StringRef help)
        : Base(parent, name, llvm::cl::desc(help)) {
      parent.add({name.str(), help.str(), valueName.str(), true,
                  [this](const std::string &word) { this->push_back(word); },
                  [this] {
                    std::string list;
                    for (const std::string &word : **this)
                      list += (list.empty() ? "{" : ",{") + word + "}";
                    return list.empty()
                               ? ""
                               : " " + this->ArgStr.str() + "={" + list + "}";
                  }});
    }
  };

  /// A word that fairy2-compile has other words for.
  class Word : public mlir::detail::PassOptions::Option<std::string> {
  public:
    using Base = mlir::detail::PassOptions::Option<std::string>;
    using Base::operator=;
    Word(PipelineOptions &parent, llvm::StringRef name, llvm::StringRef initial,
         llvm::StringRef help)
        : Base(parent, name, llvm::cl::desc(help),
               llvm::cl::init(initial.str())) {
      parent.add({name.str(), help.str(), "NAME", false, nullptr,
                  [this] {
                    return this->hasValue()
                               ? " " + this->ArgStr.str() + "=" + getValue()
                               : "";
                  }},
                 /*isFlag=*/false);
    }
  };

private:
  void add(Flag flag, bool isFlag = true) {
    (isFlag ? allFlags : unnamed).push_back(std::move(flag));
  }

  std::vector<Flag> allFlags, unnamed;
};

} // namespace fairy2

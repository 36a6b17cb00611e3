// SPDX-License-Identifier: Apache-2.0
//
// Text files as a stream of documents.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace fairy2::trainer {

/// Calls `use` with every document of `path`, in order: the whole of a .txt
/// file, or the field `textField` of each line of a .jsonl file whose other
/// fields have the values of `where`; either may be compressed as .zst. Throws
/// Error naming the file and the line.
void readDocuments(const std::filesystem::path &path,
                   const std::string &textField,
                   const std::map<std::string, std::string> &where,
                   const std::function<void(std::string text)> &use);

/// A file as one text: the documents of a .jsonl, .jsonl.zst or .txt.zst joined
/// by blank lines, and any other file as it is. Throws Error, also for tokens.
std::string readText(const std::filesystem::path &path,
                     const std::string &textField);

/// Throws Error when readDocuments() cannot begin: the name has another ending,
/// or the file cannot be opened.
void checkDocuments(const std::filesystem::path &path);

} // namespace fairy2::trainer

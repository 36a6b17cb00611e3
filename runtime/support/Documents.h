// SPDX-License-Identifier: Apache-2.0
//
// Text files as a stream of documents.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace fairy2 {

/// Whether `path` names a file of records with a document each, .jsonl or
/// .jsonl.zst, and not one text.
bool holdsRecords(const std::filesystem::path &path);

/// Calls `use` with every document of `path`, in order: the whole of a .txt
/// file, or the field `textField` of each line of a .jsonl file whose other
/// fields have the values of `where`; either may be compressed as .zst. Throws
/// Error naming the file and the line.
void readDocuments(const std::filesystem::path &path,
                   const std::string &textField,
                   const std::map<std::string, std::string> &where,
                   const std::function<void(std::string text)> &use);

/// Throws Error when readDocuments() cannot begin: the name has another ending,
/// or the file cannot be opened.
void checkDocuments(const std::filesystem::path &path);

/// A file as one text: its documents joined by blank lines. A name with another
/// ending is that of a text, too. Throws Error.
std::string readText(const std::filesystem::path &path,
                     const std::string &textField = "text");

/// Documents as one text, with a blank line between two.
std::string joinDocuments(const std::vector<std::string> &documents);

} // namespace fairy2

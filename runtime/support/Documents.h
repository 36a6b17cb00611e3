// SPDX-License-Identifier: Apache-2.0
//
// Text files as a stream of documents.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace fairy2 {

/// Whether `path` names a file of records with a document each, .jsonl or
/// .jsonl.zst, and not one text.
bool holdsRecords(const std::filesystem::path &path);

/// Takes a record and its place, "FILE:LINE"; returns whether to go on.
using UseRecord =
    std::function<bool(const nlohmann::json &record, const std::string &place)>;

/// Hands on every line of `path`, whatever its name, parsed; empty ones are
/// left out. A name in .zst is decompressed. Returns false when `use` did.
/// Throws Error naming the file and the line.
bool readRecords(const std::filesystem::path &path, const UseRecord &use);

/// Takes a document in pieces that are valid UTF-8 together, `ends` with its
/// last one, which may be empty; returns whether to go on.
using UsePiece = std::function<bool(std::string_view piece, bool ends)>;

/// Hands on every document of `path`, in order: the whole of a .txt file,
/// unless it is empty, or the field `textField` of each line of a .jsonl file
/// whose other fields have the values of `where`; either may be compressed as
/// .zst. Memory does not grow with the file. Returns false when `use` did.
/// Throws Error naming the file and the line.
bool readDocuments(const std::filesystem::path &path,
                   const std::string &textField,
                   const std::map<std::string, std::string> &where,
                   const UsePiece &use);

/// Throws Error when readDocuments() cannot begin: the name has another ending,
/// or the file cannot be opened.
void checkDocuments(const std::filesystem::path &path);

/// The same with a file as one document: its documents joined by blank lines. A
/// name with another ending is that of a text, too.
bool readText(const std::filesystem::path &path, const std::string &textField,
              const UsePiece &use);

/// What makes one document, without its end, of those that it takes: a blank
/// line between two.
UsePiece joined(UsePiece use);

} // namespace fairy2

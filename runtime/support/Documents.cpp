// SPDX-License-Identifier: Apache-2.0
//
// Reads in pieces, so that memory holds a line and not a file, except for plain
// text, which is one document.
#include "runtime/support/Documents.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/support/PlainText.h"

#include <zstd.h>

#include <algorithm>
#include <memory>

namespace fairy2 {
namespace {

constexpr size_t kLongestLine = size_t(256) << 20;
constexpr size_t kPieceBytes = size_t(1) << 17;

/// The bytes of a text file, decompressed where its name says so.
class ByteReader {
public:
  ByteReader(const std::filesystem::path &path, bool compressed)
      : file(InputFile::open(path.string())), check(file.path) {
    if (compressed)
      stream.reset(ZSTD_createDStream());
  }

  /// Appends some bytes to `out`; false at the end.
  bool read(std::string &out) {
    const size_t before = out.size();
    if (!readUnchecked(out)) {
      check.finish();
      return false;
    }
    check.add(std::string_view(out).substr(before));
    return true;
  }

private:
  bool readUnchecked(std::string &out) {
    if (begin == end && !fill())
      return false;
    if (!stream) {
      out.append(reinterpret_cast<const char *>(input.data()) + begin,
                 end - begin);
      begin = end;
      return true;
    }
    char buffer[1 << 16];
    ZSTD_inBuffer in{input.data() + begin, end - begin, 0};
    ZSTD_outBuffer to{buffer, sizeof buffer, 0};
    const size_t rest = ZSTD_decompressStream(stream.get(), &to, &in);
    if (ZSTD_isError(rest))
      throw Error(file.path +
                  ": expected a zstd stream: " + ZSTD_getErrorName(rest));
    begin += in.pos;
    frameOpen = rest != 0;
    out.append(buffer, to.pos);
    return true;
  }

  bool fill() {
    begin = 0;
    end = size_t(std::min<uint64_t>(kPieceBytes, file.bytes - offset));
    input.resize(end);
    file.read(offset, input);
    offset += end;
    if (end == 0 && frameOpen)
      throw Error(file.path +
                  ": the zstd stream ends in the middle of a frame");
    return end != 0;
  }

  struct FreeStream {
    void operator()(ZSTD_DStream *s) const { ZSTD_freeDStream(s); }
  };

  InputFile file;
  PlainTextCheck check;
  uint64_t offset = 0; ///< of what follows `input` in the file
  std::unique_ptr<ZSTD_DStream, FreeStream> stream;
  std::vector<uint8_t> input;
  size_t begin = 0, end = 0; ///< of `input`: what is still to use
  bool frameOpen = false;
};

bool isCompressed(const std::filesystem::path &path) {
  return path.extension() == ".zst";
}

std::filesystem::path endingOf(const std::filesystem::path &path) {
  return isCompressed(path) ? path.stem().extension() : path.extension();
}

/// Throws for another ending.
ByteReader openDocuments(const std::filesystem::path &path) {
  if (endingOf(path) != ".txt" && !holdsRecords(path))
    throw Error(path.string() +
                ": expected a name that ends in .txt, .jsonl, .txt.zst or "
                ".jsonl.zst");
  return ByteReader(path, isCompressed(path));
}

/// The whole of a file that is one document.
std::string readDocument(ByteReader bytes) {
  std::string text;
  while (bytes.read(text)) {
  }
  return text;
}

void useLine(std::string_view line, int64_t number, const std::string &path,
             const std::string &textField,
             const std::map<std::string, std::string> &where,
             const std::function<void(std::string text)> &use) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos)
    return;
  const std::string origin = path + ":" + std::to_string(number);
  JsonLimits limits;
  limits.bytes = limits.stringBytes = int64_t(kLongestLine);
  const nlohmann::json record = parseJson(line, origin, limits);
  const JsonObject fields(record, origin);
  for (const auto &[field, value] : where)
    if (fields.string(field) != value)
      return;
  use(fields.string(textField));
}

} // namespace

bool holdsRecords(const std::filesystem::path &path) {
  return endingOf(path) == ".jsonl";
}

void checkDocuments(const std::filesystem::path &path) { openDocuments(path); }

std::string joinDocuments(const std::vector<std::string> &documents) {
  std::string text;
  for (size_t i = 0; i < documents.size(); ++i)
    text += (i ? "\n\n" : "") + documents[i];
  return text;
}

std::string readText(const std::filesystem::path &path,
                     const std::string &textField) {
  if (!holdsRecords(path))
    return readDocument({path, isCompressed(path)});
  std::vector<std::string> documents;
  readDocuments(path, textField, {}, [&](std::string text) {
    documents.push_back(std::move(text));
  });
  return joinDocuments(documents);
}

void readDocuments(const std::filesystem::path &path,
                   const std::string &textField,
                   const std::map<std::string, std::string> &where,
                   const std::function<void(std::string text)> &use) {
  ByteReader bytes = openDocuments(path);
  if (!holdsRecords(path)) {
    if (!where.empty())
      throw Error(path.string() + ": 'where' chooses records of .jsonl files");
    std::string text = readDocument(std::move(bytes));
    if (!text.empty())
      use(std::move(text));
    return;
  }
  std::string buffer;
  int64_t line = 0;
  size_t searched = 0; // of the buffer: a long line comes in many pieces
  while (bytes.read(buffer)) {
    size_t begin = 0;
    for (size_t end; (end = buffer.find('\n', searched)) != std::string::npos;
         begin = searched = end + 1)
      useLine(std::string_view(buffer).substr(begin, end - begin), ++line,
              path.string(), textField, where, use);
    buffer.erase(0, begin);
    searched = buffer.size();
    if (buffer.size() > kLongestLine)
      throw Error(path.string() + ":" + std::to_string(line + 1) +
                  ": expected lines of at most 256 MiB");
  }
  useLine(buffer, line + 1, path.string(), textField, where, use);
}

} // namespace fairy2

// SPDX-License-Identifier: Apache-2.0
//
// Reads in pieces, so that memory holds a line and not a file, except for plain
// text, which is one document.
#include "trainer/data/Documents.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "trainer/data/TokenShards.h"
#include "trainer/data/TokenizedText.h"

#include <zstd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

namespace fairy2::trainer {
namespace {

constexpr size_t kLongestLine = size_t(256) << 20;

/// The bytes of a file, decompressed where its name says so.
class ByteReader {
public:
  ByteReader(const std::filesystem::path &path, bool compressed)
      : path(path.string()), file(std::fopen(path.c_str(), "rb"), &std::fclose),
        input(size_t(1) << 17) {
    if (!file)
      throw Error(this->path + ": cannot open: " + std::strerror(errno));
    if (compressed)
      stream.reset(ZSTD_createDStream());
  }

  /// Appends some bytes to `out`; false at the end.
  bool read(std::string &out) {
    if (begin == end && !fill())
      return false;
    if (!stream) {
      out.append(input.data() + begin, end - begin);
      begin = end;
      return true;
    }
    char buffer[1 << 16];
    ZSTD_inBuffer in{input.data() + begin, end - begin, 0};
    ZSTD_outBuffer to{buffer, sizeof buffer, 0};
    const size_t rest = ZSTD_decompressStream(stream.get(), &to, &in);
    if (ZSTD_isError(rest))
      throw Error(path +
                  ": expected a zstd stream: " + ZSTD_getErrorName(rest));
    begin += in.pos;
    frameOpen = rest != 0;
    out.append(buffer, to.pos);
    return true;
  }

private:
  bool fill() {
    begin = 0;
    end = std::fread(input.data(), 1, input.size(), file.get());
    if (std::ferror(file.get()))
      throw Error(path + ": cannot read: " + std::strerror(errno));
    if (end == 0 && frameOpen)
      throw Error(path + ": the zstd stream ends in the middle of a frame");
    return end != 0;
  }

  struct FreeStream {
    void operator()(ZSTD_DStream *s) const { ZSTD_freeDStream(s); }
  };

  std::string path;
  std::unique_ptr<FILE, int (*)(FILE *)> file;
  std::unique_ptr<ZSTD_DStream, FreeStream> stream;
  std::vector<char> input;
  size_t begin = 0, end = 0;
  bool frameOpen = false;
};

struct FileKind {
  bool compressed, isPlainText;
};

FileKind kindOf(const std::filesystem::path &path) {
  const bool compressed = path.extension() == ".zst";
  const std::filesystem::path kind =
      compressed ? path.stem().extension() : path.extension();
  if (kind != ".txt" && kind != ".jsonl")
    throw Error(path.string() +
                ": expected a name that ends in .txt, .jsonl, .txt.zst or "
                ".jsonl.zst");
  return {compressed, kind == ".txt"};
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

std::string readText(const std::filesystem::path &path,
                     const std::string &textField) {
  if (isTokenShard(path) || TokenizedText::isFolder(path))
    throw Error(path.string() + ": expected text, found tokens");
  if (path.extension() != ".jsonl" && path.extension() != ".zst")
    return readPlainText(path.string());
  std::string all;
  readDocuments(path, textField, {}, [&](const std::string &text) {
    all += (all.empty() ? "" : "\n\n") + text;
  });
  return all;
}

void checkDocuments(const std::filesystem::path &path) {
  const ByteReader opened(path, kindOf(path).compressed);
}

void readDocuments(const std::filesystem::path &path,
                   const std::string &textField,
                   const std::map<std::string, std::string> &where,
                   const std::function<void(std::string text)> &use) {
  const FileKind kind = kindOf(path);
  if (kind.isPlainText && !where.empty())
    throw Error(path.string() + ": 'where' chooses records of .jsonl files");
  ByteReader bytes(path, kind.compressed);
  std::string buffer;
  if (kind.isPlainText) {
    while (bytes.read(buffer)) {
    }
    if (!buffer.empty())
      use(std::move(buffer));
    return;
  }
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

} // namespace fairy2::trainer

// SPDX-License-Identifier: Apache-2.0
//
// Reads in pieces, so that memory holds a line and not a file.
#include "runtime/support/Documents.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/support/PlainText.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace fairy2 {
namespace {

/// A record is parsed whole, so this bounds memory.
constexpr size_t kLongestLine = size_t(16) << 20;
constexpr size_t kPieceBytes = size_t(1) << 17;
/// Of what a compressed file may refer back to, which memory must hold.
constexpr int kWindowLog = 25;

/// The bytes of a text file, decompressed where its name says so.
class ByteReader {
public:
  ByteReader(const std::filesystem::path &path, bool compressed)
      : file(InputFile::open(path.string())), check(file.path) {
    if (!compressed)
      return;
    stream.reset(ZSTD_createDStream());
    ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kWindowLog);
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
    if (ZSTD_getErrorCode(rest) == ZSTD_error_frameParameter_windowTooLarge)
      throw Error(file.path + ": needs a window of more than " +
                  std::to_string((1 << kWindowLog) >> 20) +
                  " MiB to decompress; compress it at a level of at most 20 "
                  "and without --long");
    if (ZSTD_isError(rest))
      throw Error(file.path + ": expected a zstd stream, of which zstd says '" +
                  ZSTD_getErrorName(rest) + "'");
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

/// Hands on the whole of a file that is one document.
bool readDocument(ByteReader bytes, const UsePiece &use) {
  std::string piece;
  bool any = false;
  while (bytes.read(piece)) {
    any = any || !piece.empty();
    if (!piece.empty() && !use(piece, false))
      return false;
    piece.clear();
  }
  return !any || use("", true);
}

/// Lines of a text, found as it comes.
class Lines {
public:
  explicit Lines(const std::filesystem::path &path)
      : bytes(path, isCompressed(path)), path(path.string()) {}

  /// The next line, valid until the next call; nothing at the end.
  std::optional<std::string_view> next() {
    while (true) {
      const size_t end = buffer.find('\n', searched);
      if (end != std::string::npos)
        return take(end, end + 1);
      buffer.erase(0, begin);
      begin = 0;
      searched = buffer.size(); // a long line comes in many pieces
      if (buffer.size() > kLongestLine)
        throw Error(path + ":" + std::to_string(number + 1) +
                    ": expected lines of at most " +
                    std::to_string(kLongestLine >> 20) + " MiB");
      if (atEnd)
        return std::nullopt;
      if (!bytes.read(buffer)) {
        atEnd = true;
        if (!buffer.empty())
          return take(buffer.size(), buffer.size());
      }
    }
  }
  /// "FILE:LINE" of the line that next() gave.
  std::string place() const { return path + ":" + std::to_string(number); }

private:
  std::string_view take(size_t end, size_t nextBegin) {
    const auto line = std::string_view(buffer).substr(begin, end - begin);
    begin = searched = nextBegin;
    ++number;
    return line;
  }

  ByteReader bytes;
  std::string path, buffer;
  size_t begin = 0, searched = 0; ///< of the buffer
  int64_t number = 0;
  bool atEnd = false;
};

/// The text of a record that has the values of `where`.
std::optional<std::string>
textOf(const nlohmann::json &record, const std::string &origin,
       const std::string &textField,
       const std::map<std::string, std::string> &where) {
  const JsonObject fields(record, origin);
  for (const auto &[field, value] : where)
    if (fields.string(field) != value)
      return std::nullopt;
  return fields.string(textField);
}

} // namespace

bool holdsRecords(const std::filesystem::path &path) {
  return endingOf(path) == ".jsonl";
}

bool readRecords(const std::filesystem::path &path, const UseRecord &use) {
  JsonLimits limits;
  limits.bytes = limits.stringBytes = int64_t(kLongestLine);
  Lines lines(path);
  while (const std::optional<std::string_view> line = lines.next()) {
    if (line->find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    const std::string place = lines.place();
    if (!use(parseJson(*line, place, limits), place))
      return false;
  }
  return true;
}

void checkDocuments(const std::filesystem::path &path) { openDocuments(path); }

bool readText(const std::filesystem::path &path, const std::string &textField,
              const UsePiece &use) {
  if (!holdsRecords(path))
    return readDocument({path, isCompressed(path)}, use);
  return readDocuments(path, textField, {}, joined(use)) && use("", true);
}

UsePiece joined(UsePiece use) {
  return [use = std::move(use), separate = false](std::string_view piece,
                                                  bool ends) mutable {
    if (std::exchange(separate, ends) && !use("\n\n", false))
      return false;
    return piece.empty() || use(piece, false);
  };
}

bool readDocuments(const std::filesystem::path &path,
                   const std::string &textField,
                   const std::map<std::string, std::string> &where,
                   const UsePiece &use) {
  if (!holdsRecords(path)) {
    if (!where.empty())
      throw Error(path.string() + ": 'where' chooses records of .jsonl files");
    return readDocument(openDocuments(path), use);
  }
  return readRecords(
      path, [&](const nlohmann::json &record, const std::string &place) {
        const std::optional<std::string> text =
            textOf(record, place, textField, where);
        return !text || use(*text, true);
      });
}

} // namespace fairy2

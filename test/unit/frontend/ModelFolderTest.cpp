// SPDX-License-Identifier: Apache-2.0
//
// Links in a model's folder: one rule for every file that anybody reads of it.
#include "frontend/ModelFolder.h"

#include "frontend/Checkpoint.h"
#include "frontend/ReadAssets.h"
#include "test/unit/frontend/ConfigTest.h"

using namespace fairy2;
namespace fs = std::filesystem;

namespace {

const fs::path kModel =
    fs::path(FAIRY2_SOURCE_DIR) / "trainer" / "recipes" / "demo";

/// Reads all that the compiler reads of a folder.
void readAll(const ModelFolder &folder) {
  const HFConfig config = HFConfig::read(folder);
  Checkpoint::open(folder);
  readAssets(folder, config);
}

/// The files of a model, and which of them one is read in place of.
struct Kind {
  const char *name;
  std::vector<std::string> contents; ///< of other files beside the demo's
  const char *instead = "";
};

class ModelFolderTest : public testing::Test {
protected:
  /// A model in hub/.. as the Hugging Face cache has it, without the file.
  void begin(const Kind &kind) {
    fs::remove_all(folder / "hub");
    fs::create_directories(home);
    fs::create_directories(blobs);
    for (const char *name : {"config.json", "model.safetensors"})
      fs::copy_file(kModel / name, home / name);
    fs::copy_file(kModel / "tokenizer.json", home / "tokenizer.json");
    if (*kind.instead)
      fs::remove(home / kind.instead);
    for (const std::string &name : kind.contents)
      writeFile(home / name, contentOf(name));
    writeFile(folder / "outside", contentOf(kind.name));
    writeFile(blobs / "abc", contentOf(kind.name));
    fs::remove(home / kind.name);
  }

  static std::string contentOf(const std::string &name) {
    if (name == "model.safetensors.index.json")
      return indexText();
    if (name == "shard.safetensors")
      return readFile(kModel / "model.safetensors");
    if (name == "merges.txt")
      return "#version: 0.2\n";
    if (name == "vocab.json")
      return R"({"a": 0, "<|endoftext|>": 1})";
    if (name == "tokenizer_config.json")
      return R"({"tokenizer_class": "GPT2Tokenizer"})";
    if (fs::exists(kModel / name))
      return readFile(kModel / name);
    return name == "chat_template.jinja" ? "{{ messages }}" : "{}";
  }

  static std::string indexText() {
    nlohmann::json index;
    const Checkpoint checkpoint = Checkpoint::open(kModel);
    for (const auto &[name, tensor] : checkpoint.tensors())
      index["weight_map"][name] = "shard.safetensors";
    return index.dump();
  }

  const TemporaryFolder folder;
  const fs::path blobs = folder / "hub/models--a--b/blobs";
  const fs::path home = folder / "hub/models--a--b/snapshots/1";
};

const std::vector<std::string> kByteLevel = {"vocab.json", "merges.txt",
                                             "tokenizer_config.json"};
const Kind kKinds[] = {
    {"config.json", {}},
    {"generation_config.json", {}},
    {"model.safetensors", {}},
    {"model.safetensors.index.json",
     {"shard.safetensors"},
     "model.safetensors"},
    {"shard.safetensors",
     {"model.safetensors.index.json"},
     "model.safetensors"},
    {"tokenizer.json", {}},
    {"tokenizer_config.json", {}},
    {"special_tokens_map.json", {}},
    {"added_tokens.json", {}},
    {"chat_template.jinja", {}},
    {"vocab.json", kByteLevel, "tokenizer.json"},
    {"merges.txt", kByteLevel, "tokenizer.json"},
};

TEST_F(ModelFolderTest, LinksStayInTheFolderOrTheCache) {
  for (const Kind &kind : kKinds) {
    begin(kind);
    const fs::path link = home / kind.name;
    const auto error = [&](ModelFolderRules rules = {}) {
      return folder.errorOf([&] { readAll({home, rules}); });
    };
    fs::create_symlink("../../blobs/abc", link);
    EXPECT_EQ(error(), "no error") << kind.name;

    fs::create_directory(home / "sub");
    fs::rename(blobs / "abc", home / "sub/file");
    fs::remove(link);
    fs::create_symlink("sub/file", link);
    EXPECT_EQ(error(), "no error") << kind.name;

    fs::remove(link);
    fs::create_symlink(folder / "outside", link);
    EXPECT_EQ(error(), "DIR/hub/models--a--b/snapshots/1/" +
                           std::string(kind.name) +
                           ": is a symbolic link to DIR/outside, outside of "
                           "the model's folder; --follow-links reads it");
    EXPECT_EQ(error({.followsLinks = true}), "no error") << kind.name;

    // Over another link of the folder.
    fs::rename(link, home / "other");
    fs::create_symlink("other", link);
    EXPECT_NE(error().find("is a symbolic link to DIR/outside,"),
              std::string::npos)
        << kind.name;
  }
}

TEST_F(ModelFolderTest, SentencePieceIsAFileLikeAnother) {
  begin({"tokenizer.model", {}, "tokenizer.json"});
  fs::create_symlink(folder / "outside", home / "tokenizer.model");
  EXPECT_NE(folder.errorOf([&] { readAll(home); })
                .find("tokenizer.model: is a symbolic link to DIR/outside"),
            std::string::npos);
}

/// Only a folder of snapshots has blobs beside it.
TEST_F(ModelFolderTest, OtherFoldersHaveNoBlobs) {
  fs::create_directories(folder / "a/blobs");
  fs::create_directories(folder / "a/b/c");
  writeFile(folder / "a/blobs/x", "{}");
  fs::create_symlink("../../blobs/x", folder / "a/b/c/config.json");
  EXPECT_EQ(folder.errorOf([&] { HFConfig::read(folder / "a/b/c"); }),
            "DIR/a/b/c/config.json: is a symbolic link to DIR/a/blobs/x, "
            "outside of the model's folder; --follow-links reads it");
  // A folder that begins with the same letters is another one.
  fs::create_directories(folder / "a/b/cd");
  writeFile(folder / "a/b/cd/x", "{}");
  fs::remove(folder / "a/b/c/config.json");
  fs::create_symlink("../cd/x", folder / "a/b/c/config.json");
  EXPECT_NE(folder.errorOf([&] { HFConfig::read(folder / "a/b/c"); })
                .find("link to DIR/a/b/cd/x, outside"),
            std::string::npos);
}

TEST_F(ModelFolderTest, TheFolderItselfMayBeALink) {
  fs::create_directory_symlink(kModel, folder / "link");
  EXPECT_EQ(folder.errorOf([&] { readAll(folder / "link"); }), "no error");
}

TEST_F(ModelFolderTest, BrokenLinksAreNamed) {
  for (const char *name : {"generation_config.json", "chat_template.jinja"}) {
    begin({name, {}});
    fs::create_symlink("nothing", home / name);
    EXPECT_EQ(folder.errorOf([&] { readAll(home); }),
              "DIR/hub/models--a--b/snapshots/1/" + std::string(name) +
                  ": no such file");
  }
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
//
// Choice of a variant, and what may go wrong around loading.
#include "runtime/Model.h"

#include "runtime/Status.h"
#include "test/unit/runtime/FakeModel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

using namespace fairy2;
using namespace fairy2::test;
using nlohmann::json;

namespace {

class ModelTest : public testing::Test {
protected:
  ModelTest() { unsetenv("FAIRY2_ISA"); }
  ~ModelTest() override { unsetenv("FAIRY2_ISA"); }

  TemporaryFolder folder;
  const std::string path = folder.file("model.so");
};

Fairy2Status statusOf(const std::function<void()> &body) {
  try {
    body();
  } catch (const StatusError &error) {
    return error.status;
  }
  return FAIRY2_OK;
}

TEST_F(ModelTest, TakesTheFirstVariantThatRuns) {
  writeFakeModel(path);
  EXPECT_EQ(Model::open(path)->variant().name, "plain");
  writeFakeModel(path, [](json &manifest) {
    manifest["variants"][0]["features"] = json::array();
  });
  EXPECT_EQ(Model::open(path)->variant().name, "fancy");
}

TEST_F(ModelTest, NoVariantRuns) {
  writeFakeModel(path, [](json &manifest) {
    manifest["variants"][1]["features"] = {"quantum"};
  });
  const auto open = [&] { Model::open(path); };
  EXPECT_EQ(statusOf(open), FAIRY2_UNSUPPORTED);
  EXPECT_EQ(errorOf(open),
            path + ": variants: expected one that this CPU can run, found "
                   "fancy (needs no-such-feature), plain (needs quantum)");
}

TEST_F(ModelTest, EnvironmentForcesAVariant) {
  writeFakeModel(path);
  const auto open = [&] { Model::open(path); };
  setenv("FAIRY2_ISA", "plain", 1);
  EXPECT_EQ(Model::open(path)->variant().name, "plain");
  setenv("FAIRY2_ISA", "fancy", 1);
  EXPECT_EQ(statusOf(open), FAIRY2_UNSUPPORTED);
  EXPECT_EQ(errorOf(open),
            path + ": FAIRY2_ISA: expected a variant that this CPU can run, "
                   "found fancy, which needs no-such-feature");
  setenv("FAIRY2_ISA", "", 1);
  EXPECT_EQ(statusOf(open), FAIRY2_BAD_ARGUMENT);
  EXPECT_EQ(errorOf(open), path + ": FAIRY2_ISA: expected one of fancy, "
                                  "plain, found ''");
}

TEST_F(ModelTest, MissingSymbolIsNamed) {
  writeFakeModel(path, [](json &manifest) {
    manifest["variants"][1]["symbol"] = "absent";
  });
  EXPECT_EQ(errorOf([&] { Model::open(path); }),
            path + ": variants.plain: expected a function absent in the "
                   "library, found none");
}

TEST_F(ModelTest, LoadersReasonNamesTheModel) {
  std::vector<uint8_t> image = fakeImage();
  image[7] = 200; // EI_OSABI
  writeFakeModel(path, image);
  EXPECT_EQ(errorOf([&] { Model::open(path); }),
            path + ": image: cannot load: ELF file OS ABI invalid");
}

TEST_F(ModelTest, TokenizerIsBuiltOnDemand) {
  writeFakeModel(path);
  const auto model = Model::open(path);
  EXPECT_EQ(model->tokenizer().encode("ab", true),
            (std::vector<int32_t>{kFakeBos, 3, 4}));
  EXPECT_EQ(&model->tokenizer(), &model->tokenizer());

  writeFakeModel(folder.file("none.so"),
                 [](json &manifest) { manifest.erase("tokenizer"); });
  const auto without = Model::open(folder.file("none.so"));
  EXPECT_FALSE(without->hasTokenizer());
  EXPECT_EQ(statusOf([&] { without->tokenizer(); }), FAIRY2_NO_TOKENIZER);
}

TEST_F(ModelTest, RelativePathWorksAndIsNotSearched) {
  writeFakeModel(path);
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  EXPECT_EQ(errorOf([] { Model::open("model.so"); }), "no error");
  std::filesystem::current_path(before);
}

TEST_F(ModelTest, TwoModelsOfOneFileShareIt) {
  writeFakeModel(path);
  const auto first = Model::open(path);
  const auto second = Model::open(path);
  EXPECT_EQ(first->forward(), second->forward());
}

/// The fake module with one read-only byte changed: another build.
std::vector<uint8_t> otherImage() {
  std::vector<uint8_t> image = fakeImage();
  const std::string_view text(reinterpret_cast<const char *>(image.data()),
                              image.size());
  const size_t place = text.find("FAIRY2_FAKE_TRACE");
  EXPECT_NE(place, std::string::npos);
  image[place] = 'X';
  return image;
}

/// A new version is deployed by a rename. Who has the old one open keeps it;
/// dlopen, which knows libraries by name, must not give it to who comes later.
TEST_F(ModelTest, ReplacedFileIsLoadedBesideTheOld) {
  writeFakeModel(path);
  const auto first = Model::open(path);
  writeFakeModel(path, otherImage());
  const auto second = Model::open(path);
  EXPECT_NE(first->forward(), second->forward());
  for (const auto &model : {first, second, Model::open(path)})
    EXPECT_EQ(model->tokenizer().idOf("a"), 3);
}

/// dlopen keeps the names of a library for as long as it is loaded, also those
/// by descriptors that are closed and have since become another file's.
TEST_F(ModelTest, NumbersOfDescriptorsMayComeAgain) {
  writeFakeModel(path);
  writeFakeModel(folder.file("other.so"), otherImage());
  auto first = Model::open(path);
  const auto second = Model::open(path);
  first.reset();
  const auto other = Model::open(folder.file("other.so"));
  EXPECT_NE(other->forward(), second->forward());
  EXPECT_EQ(Model::open(path)->forward(), second->forward());
}

/// Every start gets one of the versions, whole: hashes, code and weights.
TEST_F(ModelTest, RenamesWhileOpeningDoNotMatter) {
  writeFakeModel(folder.file("a.so"));
  writeFakeModel(folder.file("b.so"), otherImage());
  writeFakeModel(path);
  std::atomic<bool> stop = false;
  std::thread deployer([&] {
    for (int i = 0; !stop; ++i) {
      std::filesystem::copy_file(folder.file(i % 2 ? "a.so" : "b.so"),
                                 folder.file("next.so"));
      std::filesystem::rename(folder.file("next.so"), path);
    }
  });
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(errorOf([&] { Model::open(path); }), "no error");
  stop = true;
  deployer.join();
}

} // namespace

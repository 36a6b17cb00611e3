// SPDX-License-Identifier: Apache-2.0
//
// Opens a model in the order that keeps strangers' code from running: check
// everything, choose a variant, dlopen last.
#include "runtime/Model.h"

#include "runtime/Artifact.h"
#include "runtime/Cores.h"
#include "runtime/CpuFeatures.h"
#include "runtime/Status.h"
#include "runtime/support/Bytes.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace fairy2 {
namespace {

/// The first feature of the variant that this machine lacks, or "".
std::string missingFeature(const Variant &variant) {
  for (const std::string &feature : variant.features)
    if (!cpuHasFeature(feature))
      return feature;
  return "";
}

const Variant &chooseVariant(const Manifest &manifest,
                             const std::string &path) {
  std::string names, lacking;
  const char *forced = std::getenv("FAIRY2_ISA");
  for (const Variant &variant : manifest.variants) {
    const std::string missing = missingFeature(variant);
    if (forced && variant.name == forced && !missing.empty())
      throw StatusError(FAIRY2_UNSUPPORTED,
                        path +
                            ": FAIRY2_ISA: expected a variant that this CPU "
                            "can run, found " +
                            variant.name + ", which needs " + missing);
    if (forced ? variant.name == forced : missing.empty())
      return variant;
    names += (names.empty() ? "" : ", ") + variant.name;
    lacking += (lacking.empty() ? "" : ", ") + variant.name + " (needs " +
               missing + ")";
  }
  if (forced)
    throw StatusError(FAIRY2_BAD_ARGUMENT, path +
                                               ": FAIRY2_ISA: expected one "
                                               "of " +
                                               names + ", found '" + forced +
                                               "'");
  throw StatusError(FAIRY2_UNSUPPORTED,
                    path +
                        ": variants: expected one that this CPU can run, "
                        "found " +
                        lacking);
}

/// Whether the path leads to the open file, and not to another that took its
/// name since.
bool leadsTo(const std::string &path, const InputFile &file) {
  struct stat there, here;
  return stat(path.c_str(), &there) == 0 &&
         fstat(file.descriptor.get(), &here) == 0 &&
         there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

/// A name of the open file for dlopen, which takes no descriptor: one by the
/// descriptor, so that a file renamed to the path in the meantime is neither
/// executed nor in the way. Without /proc it is the path, if that still leads
/// to the file.
std::string loadableName(const InputFile &file) {
  // Spelled differently every time: dlopen keeps all names of a library as long
  // as it is loaded, while the number may meanwhile be another file's.
  static std::atomic<uint32_t> count = 0;
  std::string byDescriptor = "/proc/self/fd";
  for (uint32_t bits = count++, i = 0; i < 32; ++i, bits >>= 1)
    byDescriptor += bits & 1 ? "/." : "//";
  byDescriptor += "/" + std::to_string(file.descriptor.get());
  if (leadsTo(byDescriptor, file))
    return byDescriptor;
  // An absolute path keeps dlopen from searching.
  const std::string byPath = std::filesystem::absolute(file.path).string();
  if (!leadsTo(byPath, file))
    throw StatusError(FAIRY2_BAD_FILE,
                      file.path + ": image: expected the file that was checked "
                                  "under this name, found another: it was "
                                  "replaced meanwhile");
  return byPath;
}

/// Fails unless the code and constants in memory are those of the checked file.
/// They are not when dlopen still holds an older library of the same path, as
/// it may where it goes by the path.
void requireSameImage(void *library, const InputFile &file) {
  const auto fail = [&] {
    throw StatusError(FAIRY2_BAD_FILE,
                      file.path + ": image: expected the checked file's code "
                                  "in memory, found another version: the file "
                                  "was replaced while it was in use");
  };
  link_map *map = nullptr;
  if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0)
    fail();
  Elf64_Ehdr elf;
  file.read(0, writableBytesOf(elf));
  std::vector<Elf64_Phdr> segments(elf.e_phnum);
  file.read(elf.e_phoff, writableBytesOf(segments));
  std::vector<uint8_t> expected;
  for (const Elf64_Phdr &segment : segments) {
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W))
      continue;
    expected.resize(segment.p_filesz);
    file.read(segment.p_offset, expected);
    const auto *loaded =
        reinterpret_cast<const uint8_t *>(map->l_addr + segment.p_vaddr);
    if (std::memcmp(loaded, expected.data(), expected.size()) != 0)
      fail();
  }
}

/// The texts that chat templates ask for by name. Of models without a
/// tokenizer_config.json the ids tell bos_token and eos_token.
std::map<std::string, std::string> specialTokensOf(const Manifest &manifest,
                                                   const Tokenizer &tokenizer) {
  std::map<std::string, std::string> texts = manifest.specialTokens;
  const auto add = [&](const char *role, int32_t id) {
    texts.emplace(role, tokenizer.decode({&id, 1}, /*skipSpecial=*/false));
  };
  if (manifest.bosToken)
    add("bos_token", *manifest.bosToken);
  if (!manifest.eosTokens.empty())
    add("eos_token", manifest.eosTokens.front());
  return texts;
}

} // namespace

std::shared_ptr<const Model> Model::open(const std::string &path) {
  Artifact artifact = Artifact::open(path);
  if (artifact.manifest.machine != hostMachine())
    throw StatusError(FAIRY2_UNSUPPORTED, path + ": machine: expected " +
                                              hostMachine() + ", found " +
                                              artifact.manifest.machine);
  const size_t index = size_t(&chooseVariant(artifact.manifest, path) -
                              artifact.manifest.variants.data());
  artifact.verifyContent(usableCores());

  std::shared_ptr<Model> model(new Model);
  model->origin = path;
  model->opened = std::move(artifact.file);
  model->description = std::move(artifact.manifest);
  model->chosen = &model->description.variants[index];
  model->load();
  requireSameImage(model->library, model->opened);
  return model;
}

void Model::load() {
  const std::string name = loadableName(opened);
  library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    std::string_view why = dlerror();
    if (why.starts_with(name + ": ")) // a name that nobody knows
      why.remove_prefix(name.size() + 2);
    throw StatusError(FAIRY2_BAD_FILE,
                      origin + ": image: cannot load: " + std::string(why));
  }
  function =
      reinterpret_cast<Fairy2Forward>(dlsym(library, chosen->symbol.c_str()));
  if (!function)
    throw StatusError(FAIRY2_BAD_FILE, origin + ": variants." + chosen->name +
                                           ": expected a function " +
                                           chosen->symbol +
                                           " in the library, found none");
}

Model::~Model() {
  tokenizerOnDemand.reset();
  if (library)
    dlclose(library);
}

const Tokenizer &Model::tokenizer() const {
  if (!description.tokenizer)
    throw StatusError(FAIRY2_NO_TOKENIZER,
                      origin + ": tokenizer: expected one, found a model that "
                               "was compiled without");
  const std::lock_guard lock(onDemandMutex);
  if (!tokenizerOnDemand) {
    const auto [offset, bytes] = *description.tokenizer;
    std::string text(bytes, '\0');
    opened.read(description.weights.offset + offset,
                {reinterpret_cast<uint8_t *>(text.data()), text.size()});
    tokenizerOnDemand = Tokenizer::fromJson(text, origin + ": tokenizer");
  }
  return *tokenizerOnDemand;
}

const ChatTemplate &Model::chatTemplate() const {
  if (!description.chatTemplate)
    throw StatusError(FAIRY2_NO_CHAT_TEMPLATE,
                      origin + ": chat template: expected one, found a model "
                               "that was compiled without");
  const auto specialTokens = specialTokensOf(description, tokenizer());
  const std::lock_guard lock(onDemandMutex);
  if (!chatTemplateOnDemand)
    chatTemplateOnDemand = std::make_unique<ChatTemplate>(
        *description.chatTemplate, specialTokens);
  return *chatTemplateOnDemand;
}

} // namespace fairy2

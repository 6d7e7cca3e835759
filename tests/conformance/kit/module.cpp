#include "module.hpp"

#include <dlfcn.h>

#include <stdexcept>

#include "backend/adapter.hpp"
#include "structs.hpp"

namespace tokenstore::conformance {
namespace {

constexpr const char* variable = "tokenstore_conformance";
constexpr std::uint32_t known_exemptions = TOKENSTORE_CONFORMANCE_VOLATILE | TOKENSTORE_CONFORMANCE_ONE_HANDLE |
                                           TOKENSTORE_CONFORMANCE_NO_READ_ONLY | TOKENSTORE_CONFORMANCE_NO_FEED |
                                           TOKENSTORE_CONFORMANCE_RESTLESS_PULSE;

tokenstore_conformance_subject subject_of(const std::filesystem::path& path) {
  // Absolute, or the loader would look for a bare name among the system's libraries.
  void* object = dlopen(std::filesystem::absolute(path).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) throw std::runtime_error(std::string("the module cannot be loaded: ") + dlerror());
  const void* found = dlsym(object, variable);
  if (found == nullptr) {
    throw std::runtime_error("the module defines no " + std::string(variable) + "; see tokenstore_conformance.h");
  }
  try {
    return capi::read_struct(static_cast<const tokenstore_conformance_subject*>(found),
                             TOKENSTORE_CONFORMANCE_SUBJECT_SIZE_1_0, variable);
  } catch (const capi::Failure& failure) {
    throw std::runtime_error(failure.message());
  }
}

/// One handle, opened.
std::shared_ptr<Backend> open(const tokenstore_conformance_subject& subject, const std::filesystem::path& directory,
                              std::int32_t how) {
  const std::string name = directory.string();
  const tokenstore_conformance_place place{sizeof place, name.c_str(), name.size(), how, 0};
  tokenstore_backend entries{};
  entries.struct_size = sizeof entries;
  const std::int32_t made = subject.make(&place, &entries);
  if (made != TOKENSTORE_OK) throw std::runtime_error("make returned status " + std::to_string(made));
  try {
    const auto backend = capi::AdaptedBackend::adopt(&entries);
    if (const auto opened = backend->open(); !opened.ok()) throw std::runtime_error(opened.error().message());
    if (backend->read_only() != (how == TOKENSTORE_CONFORMANCE_READ_ONLY)) {
      throw std::runtime_error("the capability READ_ONLY is not what was asked for");
    }
    return backend;
  } catch (const capi::Failure& failure) {
    throw std::runtime_error(failure.message());
  }
}

}  // namespace

Module::Module(const std::filesystem::path& path) : subject_(subject_of(path)) {
  if (subject_.contract != TOKENSTORE_BACKEND_CONTRACT) {
    throw std::runtime_error(
        "the module was written for another contract than this kit judges; set contract to "
        "TOKENSTORE_BACKEND_CONTRACT, or use the kit of that version");
  }
  if (subject_.make == nullptr) throw std::runtime_error("the module has no make, which is required");
  if ((subject_.exemptions & ~known_exemptions) != 0) {
    throw std::runtime_error("the module has an exemption that this version of the kit does not know");
  }
  traits_.name = path.filename().string();
  traits_.persistent = !exempt(TOKENSTORE_CONFORMANCE_VOLATILE);
  traits_.many_handles = !exempt(TOKENSTORE_CONFORMANCE_ONE_HANDLE);
  traits_.has_feed = !exempt(TOKENSTORE_CONFORMANCE_NO_FEED);
  traits_.exact_pulse = !exempt(TOKENSTORE_CONFORMANCE_RESTLESS_PULSE);
  traits_.feed_bound = static_cast<std::size_t>(subject_.feed_bound);
}

BackendFactory Module::factory(const std::filesystem::path& root) const {
  // A directory for each storage, so that a case may have several.
  const auto last = std::make_shared<int>(0);
  const auto again = [this, root, last](std::int32_t how) { return open(subject_, root / std::to_string(*last), how); };
  BackendFactory factory;
  factory.open_fresh = [root, last, again] {
    std::filesystem::create_directory(root / std::to_string(++*last));
    return again(TOKENSTORE_CONFORMANCE_FRESH);
  };
  factory.reopen = [again] { return again(TOKENSTORE_CONFORMANCE_REOPEN); };
  if (!exempt(TOKENSTORE_CONFORMANCE_ONE_HANDLE | TOKENSTORE_CONFORMANCE_NO_READ_ONLY)) {
    factory.open_read_only = [again] { return again(TOKENSTORE_CONFORMANCE_READ_ONLY); };
  }
  return factory;
}

void Module::discard(const std::filesystem::path& root) const {
  if (subject_.discard == nullptr) return;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    const std::string name = entry.path().string();
    subject_.discard(name.c_str(), name.size());
  }
}

std::string Module::exemption(const Case& one) const {
  if (one.needs_persistence && !traits_.persistent) return "VOLATILE";
  if (one.needs_many_handles && !traits_.many_handles) return "ONE_HANDLE";
  if (one.needs_read_only && exempt(TOKENSTORE_CONFORMANCE_NO_READ_ONLY)) return "NO_READ_ONLY";
  if (one.needs_read_only && !traits_.many_handles) return "ONE_HANDLE";
  if (one.needs_feed && !traits_.has_feed) return "NO_FEED";
  if (one.needs_exact_pulse && !traits_.exact_pulse) return "RESTLESS_PULSE";
  if (one.needs_feed_bound && traits_.feed_bound == 0) return "feed_bound 0";
  return {};
}

}  // namespace tokenstore::conformance

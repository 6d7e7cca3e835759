/// A backend from a shared object that somebody else wrote: tokenstore_conformance.h.
///
/// Thread use: one thread; the factory's backends as they say. Ownership: the object stays loaded until the process
/// ends.
#pragma once

#include <filesystem>
#include <string>

#include "conformance.hpp"
#include "tokenstore_conformance.h"

namespace tokenstore::conformance {

class Module {
 public:
  /// Throws std::runtime_error, with what to do, if there is nothing in `path` to be judged.
  explicit Module(const std::filesystem::path& path);

  const BackendTraits& traits() const noexcept { return traits_; }
  /// Keeps its storages in directories of its own in `root`. The module has to outlive it.
  BackendFactory factory(const std::filesystem::path& root) const;
  /// The storages in `root` are no longer wanted.
  void discard(const std::filesystem::path& root) const;
  /// Why a case does not apply; empty: it does.
  std::string exemption(const Case& one) const;

 private:
  bool exempt(std::uint32_t from) const noexcept { return (subject_.exemptions & from) != 0; }

  tokenstore_conformance_subject subject_{};
  BackendTraits traits_;
};

}  // namespace tokenstore::conformance

/// Backends that each break one clause of the contract: the suite must notice every one of them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tokenstore/backend.hpp"

namespace tokenstore::conformance {

struct BrokenBackend {
  std::string name;       ///< what is wrong with it
  std::string caught_by;  ///< name of a case that must report it
  std::function<std::shared_ptr<Backend>()> open_fresh;
};

std::vector<BrokenBackend> broken_backends();

/// Hands every call on to another backend: the start of every broken one, and itself sound.
std::shared_ptr<Backend> forwarding_backend();

}  // namespace tokenstore::conformance

/// A backend that keeps everything in memory: for tests, and for tokens that may die with the process.
#pragma once

#include <memory>

#include "tokenstore/backend.hpp"

namespace tokenstore {

std::shared_ptr<Backend> memory_backend();

}  // namespace tokenstore

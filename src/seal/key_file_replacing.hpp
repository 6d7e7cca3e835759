/// Changing a key file that processes have open.
///
/// One change at a time, under the file's lock; whoever reads the file meanwhile sees all of the old or all of the new.
/// Stateless; any thread and any process.
#pragma once

#include <functional>
#include <string>

#include "tokenstore/keyring.hpp"

namespace tokenstore::key_file {

/// Replaces the file by what `change` makes of its keys, with the same owner and rights, durable on return. Links are
/// followed. Nothing happens if `change` fails or changes nothing. `unknown`: the new file is in place, and the old one
/// may be there again after a power cut. Comments are not kept.
Result<void> replace(const std::string& path, const KeyFileTrust& trust,
                     const std::function<Result<void>(Keyring&)>& change);

}  // namespace tokenstore::key_file

/// What would be undone if an older state of a store took the place of a newer one. One thread; borrows everything.
#pragma once

#include "tokenstore/transfer.hpp"

namespace tokenstore::transfer {

/// `now`: of a token whose time is up by itself nothing is lost.
Result<Losses> losses_between(Backend& newer, Backend& older, UnixMillis now);

}  // namespace tokenstore::transfer

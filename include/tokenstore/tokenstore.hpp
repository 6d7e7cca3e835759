/// Everything a host needs. Start reading at open.hpp, then store.hpp.
#pragma once

#include "tokenstore/open.hpp"
#include "tokenstore/store.hpp"

// Version and names: texts that live as long as the library.
#include <cstdint>
#include <limits>

#include "guard.hpp"
#include "tokenstore.h"
#include "tokenstore/journal.hpp"
#include "tokenstore/model.hpp"
#include "tokenstore/status.hpp"
#include "tokenstore/verdict.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

#define TOKENSTORE_SPELL_OUT(number) #number
#define TOKENSTORE_SPELL(number) TOKENSTORE_SPELL_OUT(number)

namespace {

constexpr const char* unrecognised = "unrecognised";

/// The C++ names are literals, so a zero byte follows them. A number that does not fit the enumeration
/// must not be cut down to one that does.
template <typename Enumeration>
const char* name_of(std::int32_t number, std::string_view (*name)(Enumeration) noexcept) noexcept {
  using Number = std::underlying_type_t<Enumeration>;
  return guard_value(unrecognised, [&] {
    if (number < 0 || number > std::int64_t{std::numeric_limits<Number>::max()}) return unrecognised;
    return name(static_cast<Enumeration>(number)).data();
  });
}

}  // namespace

const char* tokenstore_version(void) {
  return guard_value(unrecognised, [] {
    return TOKENSTORE_SPELL(TOKENSTORE_VERSION_MAJOR) "." TOKENSTORE_SPELL(
        TOKENSTORE_VERSION_MINOR) "." TOKENSTORE_SPELL(TOKENSTORE_VERSION_PATCH);
  });
}

uint32_t tokenstore_version_number(void) {
  return guard_value(std::uint32_t{0}, [] {
    return std::uint32_t{TOKENSTORE_VERSION_MAJOR} * 1'000'000 + std::uint32_t{TOKENSTORE_VERSION_MINOR} * 1'000 +
           std::uint32_t{TOKENSTORE_VERSION_PATCH};
  });
}

uint32_t tokenstore_abi_version(void) {
  return guard_value(std::uint32_t{0}, [] { return std::uint32_t{TOKENSTORE_ABI_VERSION}; });
}

const char* tokenstore_status_name(int32_t status) {
  return name_of<Status>(status, status_name);
}
const char* tokenstore_outcome_name(int32_t outcome) {
  return name_of<Outcome>(outcome, outcome_name);
}
const char* tokenstore_reason_name(int32_t reason) {
  return name_of<Reason>(reason, reason_name);
}
const char* tokenstore_state_name(int32_t state) {
  return name_of<TokenState>(state, state_name);
}
const char* tokenstore_deed_name(int32_t deed) {
  return name_of<JournalDeed>(deed, journal_deed_name);
}

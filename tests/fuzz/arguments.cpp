// Arguments of the C ABI, cursors and ids among them: an answer or a clear error, and never a token for nothing.
#include <array>
#include <string>

#include "fuzz/c_calls.hpp"

using tokenstore::test::check_answer;
using tokenstore::test::Input;
using tokenstore::test::promise;

namespace {

/// The size of a struct: its own mostly, else less. A size beyond the struct would be the caller's own fault.
std::size_t size_or(Input& input, std::size_t own) {
  const std::uint8_t how = input.octet();
  return how < 200 ? own : how < 230 ? own - how % 16 : input.octet() % (own + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tokenstore_store* store = tokenstore::test::open_c_store();
  Input input(data, size);
  const std::string_view name = input.text();
  tokenstore_actor actor{};
  actor.struct_size = sizeof actor;
  actor.kind = input.octet() % 5;
  actor.name = name.data();
  actor.name_size = name.size();
  for (int calls = 0; calls < 8 && !input.rest().empty(); ++calls) {
    tokenstore_error* error = nullptr;
    const std::uint8_t which = input.octet() % 4;
    const std::string_view first = input.text();
    const std::string_view second = input.text();
    if (which == 0) {
      tokenstore_issue_request request{};
      request.struct_size = size_or(input, sizeof request);
      request.owner = first.data();
      request.owner_size = first.size();
      request.scopes = second.data();
      request.scopes_size = second.size();
      request.lifetime_ms = input.number();
      request.not_before = input.number();
      std::array<char, 128> text{};
      std::size_t text_size = 0;
      tokenstore_token* token = nullptr;
      const std::int32_t status =
          tokenstore_issue(store, &actor, &request, text.data(), text.size(), &text_size, &token, &error);
      check_answer(status, error);
      promise((status == TOKENSTORE_OK) == (token != nullptr), "a token comes with OK alone");
      promise(status != TOKENSTORE_OK || text_size >= 80, "a token has its text");
      tokenstore_token_free(token);
    } else if (which == 1) {
      tokenstore_list_query query{};
      query.struct_size = size_or(input, sizeof query);
      query.owner = first.data();
      query.owner_size = first.size();
      query.cursor = second.data();
      query.cursor_size = second.size();
      query.limit = input.octet();
      query.state = input.octet() % 7;
      tokenstore_page* page = nullptr;
      const std::int32_t status = tokenstore_list(store, &actor, &query, &page, &error);
      check_answer(status, error);
      tokenstore_page_free(page);
    } else if (which == 2) {
      tokenstore_token* token = nullptr;
      const std::int32_t status =
          tokenstore_revoke(store, &actor, first.data(), first.size(), second.data(), second.size(), &token, &error);
      check_answer(status, error);
      tokenstore_token_free(token);
    } else {
      tokenstore_demand demand{};
      demand.struct_size = size_or(input, sizeof demand);
      demand.scope = second.data();
      demand.scope_size = second.size();
      static tokenstore_verdict verdict;
      verdict.struct_size = sizeof verdict;
      const std::int32_t status = tokenstore_validate(store, first.data(), first.size(), &demand, &verdict, &error);
      check_answer(status, error);
      promise(status != TOKENSTORE_OK || verdict.outcome == TOKENSTORE_OUTCOME_INVALID, "no input is a valid token");
    }
  }
  tokenstore_free(store);
  return 0;
}

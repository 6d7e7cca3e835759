// Tokens: issuing, reading, ending and listing them.
#include <array>
#include <memory>

#include "secret_text.hpp"
#include "store.hpp"

namespace tokenstore::python {

namespace {

using Token = Handle<tokenstore_token, tokenstore_token_free>;
using Page = Handle<tokenstore_page, tokenstore_page_free>;

// The order of tokenstore._values.Token.
PyObject* token_tuple(const tokenstore_token_info& info) {
  return Py_BuildValue(
      "(NNNNNNNNNLLLLLi)", text_object(info.id, info.id_size), text_object(info.owner, info.owner_size),
      text_object(info.description, info.description_size), text_object(info.scopes, info.scopes_size),
      PyBytes_FromStringAndSize(info.metadata_size == 0 ? "" : info.metadata,
                                static_cast<Py_ssize_t>(info.metadata_size)),
      text_object(info.created_by, info.created_by_size), text_object(info.revoked_by, info.revoked_by_size),
      text_object(info.revoke_reason, info.revoke_reason_size),
      text_object(info.last_used_from, info.last_used_from_size), static_cast<long long>(info.created_at),
      static_cast<long long>(info.not_before), static_cast<long long>(info.expires_at),
      static_cast<long long>(info.revoked_at), static_cast<long long>(info.last_used_at), static_cast<int>(info.state));
}

PyObject* described(Call& call, const Token& token) {
  tokenstore_token_info info{};
  info.struct_size = sizeof info;
  if (!call.succeeded(tokenstore_token_read(token.get(), &info, call.error().out()))) return nullptr;
  return token_tuple(info);
}

PyObject* described(Call& call, const Page& page, std::size_t index) {
  tokenstore_token_info info{};
  info.struct_size = sizeof info;
  if (!call.succeeded(tokenstore_page_token(page.get(), index, &info, call.error().out()))) return nullptr;
  return token_tuple(info);
}

// From a tuple: owner, description, scopes, metadata, lifetime, not before.
bool read_request(PyObject* tuple, tokenstore_issue_request& out) {
  std::array<PyObject*, 6> args{};
  for (std::size_t i = 0; i < args.size(); ++i) {
    args[i] = PyTuple_GetItem(tuple, static_cast<Py_ssize_t>(i));
    if (args[i] == nullptr) return false;
  }
  Text owner;
  Text description;
  Text scopes;
  Text metadata;
  out = {};
  out.struct_size = sizeof out;
  if (!owner.read(args[0], "owner") || !description.read(args[1], "description") || !scopes.read(args[2], "scopes") ||
      !read_bytes(args[3], "metadata", metadata) || !read_number(args[4], "lifetime", out.lifetime_ms) ||
      !read_number(args[5], "not_before", out.not_before)) {
    return false;
  }
  out.owner = owner.data;
  out.owner_size = owner.size;
  out.description = description.data;
  out.description_size = description.size;
  out.scopes = scopes.data;
  out.scopes_size = scopes.size;
  out.metadata = metadata.data;
  out.metadata_size = metadata.size;
  return true;
}

// (text, token)
PyObject* issued(const Call& call, const char* text, std::size_t size, PyObject* token) {
  if (token == nullptr) return nullptr;
  return Py_BuildValue("(NN)", new_secret_text(call.state(), text, size), token);
}

struct Free {
  void operator()(void* memory) const noexcept { PyMem_Free(memory); }
};
template <typename Type>
using Array = std::unique_ptr<Type[], Free>;  // of Python's memory, which is asked for without an exception

template <typename Type>
Array<Type> array_of(std::size_t count) {
  return Array<Type>(static_cast<Type*>(PyMem_Calloc(count == 0 ? 1 : count, sizeof(Type))));
}

}  // namespace

PyObject* store_issue(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  tokenstore_issue_request request;
  if (!call || !takes("_issue", count, 3) || !read_actor(args, actor) || !read_request(args[2], request)) {
    return nullptr;
  }
  std::array<char, TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE> text{};
  std::size_t size = 0;
  Token token;
  const int32_t status = unlocked([&] {
    return tokenstore_issue(call.handle(), &actor, &request, text.data(), text.size(), &size, token.out(),
                            call.error().out());
  });
  PyObject* made = call.succeeded(status) ? issued(call, text.data(), size, described(call, token)) : nullptr;
  wipe(text.data(), text.size());
  return made;
}

// _issue_many(kind, name, requests): a list of tuples of what _issue takes.
PyObject* store_issue_many(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  if (!call || !takes("_issue_many", count, 3) || !read_actor(args, actor)) return nullptr;
  const Py_ssize_t wanted = PyList_Size(args[2]);
  if (wanted < 0) return nullptr;
  const auto many = static_cast<std::size_t>(wanted);
  const auto requests = array_of<tokenstore_issue_request>(many);
  const auto texts = array_of<char>(many * TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE);
  if (!requests || !texts) return PyErr_NoMemory();
  for (std::size_t i = 0; i < many; ++i) {
    if (!read_request(PyList_GetItem(args[2], static_cast<Py_ssize_t>(i)), requests[i])) return nullptr;
  }
  std::size_t size = 0;
  Page page;
  const int32_t status = unlocked([&] {
    return tokenstore_issue_many(call.handle(), &actor, requests.get(), many, texts.get(),
                                 TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE, &size, page.out(), call.error().out());
  });
  Ref list(call.succeeded(status) ? PyList_New(0) : nullptr);
  bool complete = static_cast<bool>(list);
  for (std::size_t i = 0; complete && i < many; ++i) {
    const Ref one(issued(call, texts.get() + i * TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE, size, described(call, page, i)));
    complete = one && PyList_Append(list.get(), one.get()) == 0;
  }
  wipe(texts.get(), many * TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE);
  return complete ? list.release() : nullptr;
}

PyObject* store_get(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text id;
  if (!call || !takes("_get", count, 3) || !read_actor(args, actor) || !id.read(args[2], "id")) return nullptr;
  Token token;
  const int32_t status = unlocked(
      [&] { return tokenstore_get(call.handle(), &actor, id.data, id.size, token.out(), call.error().out()); });
  return call.succeeded(status) ? described(call, token) : nullptr;
}

PyObject* store_expire(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text id;
  std::int64_t at = 0;
  if (!call || !takes("_expire", count, 4) || !read_actor(args, actor) || !id.read(args[2], "id") ||
      !read_number(args[3], "at", at)) {
    return nullptr;
  }
  Token token;
  const int32_t status = unlocked(
      [&] { return tokenstore_expire(call.handle(), &actor, id.data, id.size, at, token.out(), call.error().out()); });
  return call.succeeded(status) ? described(call, token) : nullptr;
}

PyObject* store_revoke(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text id;
  Text reason;
  if (!call || !takes("_revoke", count, 4) || !read_actor(args, actor) || !id.read(args[2], "id") ||
      !reason.read(args[3], "reason")) {
    return nullptr;
  }
  Token token;
  const int32_t status = unlocked([&] {
    return tokenstore_revoke(call.handle(), &actor, id.data, id.size, reason.data, reason.size, token.out(),
                             call.error().out());
  });
  return call.succeeded(status) ? described(call, token) : nullptr;
}

PyObject* store_revoke_all(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text owner;
  Text reason;
  if (!call || !takes("_revoke_all", count, 4) || !read_actor(args, actor) || !owner.read(args[2], "owner") ||
      !reason.read(args[3], "reason")) {
    return nullptr;
  }
  std::uint64_t revoked = 0;
  const int32_t status = unlocked([&] {
    return tokenstore_revoke_all(call.handle(), &actor, owner.data, owner.size, reason.data, reason.size, &revoked,
                                 call.error().out());
  });
  return call.succeeded(status) ? PyLong_FromUnsignedLongLong(revoked) : nullptr;
}

PyObject* store_delete(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text id;
  if (!call || !takes("_delete", count, 3) || !read_actor(args, actor) || !id.read(args[2], "id")) return nullptr;
  const int32_t status =
      unlocked([&] { return tokenstore_delete(call.handle(), &actor, id.data, id.size, call.error().out()); });
  if (!call.succeeded(status)) return nullptr;
  Py_INCREF(Py_None);
  return Py_None;
}

// _list(kind, name, owner, text, cursor, limit, state): (tokens, next cursor)
PyObject* store_list(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text owner;
  Text text;
  Text cursor;
  std::int32_t limit = 0;
  tokenstore_list_query query{};
  query.struct_size = sizeof query;
  if (!call || !takes("_list", count, 7) || !read_actor(args, actor) || !owner.read(args[2], "owner") ||
      !text.read(args[3], "text") || !cursor.read(args[4], "cursor") || !read_small_number(args[5], "limit", limit) ||
      !read_small_number(args[6], "state", query.state)) {
    return nullptr;
  }
  query.owner = owner.data;
  query.owner_size = owner.size;
  query.text = text.data;
  query.text_size = text.size;
  query.cursor = cursor.data;
  query.cursor_size = cursor.size;
  query.limit = static_cast<std::size_t>(limit);
  Page page;
  if (!call.succeeded(
          unlocked([&] { return tokenstore_list(call.handle(), &actor, &query, page.out(), call.error().out()); }))) {
    return nullptr;
  }
  Ref tokens(PyList_New(0));
  const std::size_t found = tokenstore_page_count(page.get());
  for (std::size_t i = 0; tokens && i < found; ++i) {
    const Ref token(described(call, page, i));
    if (!token || PyList_Append(tokens.get(), token.get()) != 0) return nullptr;
  }
  if (!tokens) return nullptr;
  std::size_t next_size = 0;
  const char* next = tokenstore_page_next(page.get(), &next_size);
  return Py_BuildValue("(NN)", tokens.release(), text_object(next, next_size));
}

PyObject* store_count(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  Call call(self);
  tokenstore_actor actor;
  Text owner;
  if (!call || !takes("_count", count, 3) || !read_actor(args, actor) || !owner.read(args[2], "owner")) return nullptr;
  tokenstore_counts counts{};
  counts.struct_size = sizeof counts;
  const int32_t status = unlocked(
      [&] { return tokenstore_count(call.handle(), &actor, owner.data, owner.size, &counts, call.error().out()); });
  if (!call.succeeded(status)) return nullptr;
  return Py_BuildValue("(KKKK)", static_cast<unsigned long long>(counts.active),
                       static_cast<unsigned long long>(counts.pending), static_cast<unsigned long long>(counts.expired),
                       static_cast<unsigned long long>(counts.revoked));
}

}  // namespace tokenstore::python

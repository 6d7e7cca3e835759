// Package tokenstore issues, validates, lists, expires and revokes a server's own access tokens, in-process: personal
// access tokens, API keys. One library, one file, no daemon.
//
//	store, err := tokenstore.Open("tokens.db")
//	issued, err := store.Issue(ctx, tokenstore.User("alice"), tokenstore.Request{Scopes: []string{"notes:read"}})
//	text := issued.Secret.Reveal() // the only copy: give it to alice
//	verdict, err := store.Validate(ctx, text, tokenstore.Demand{Scope: "notes:read"})
//	defer verdict.Release()
//	if verdict.Valid() { ... verdict.Owner() ... }
//
// # Building
//
// The package compiles the library itself, by cgo: it needs a C++20 compiler (g++ 12 or clang 14, or newer) and the
// development packages of libsodium, SQLite and fmt. On Debian 12: apt-get install g++ libsodium-dev libsqlite3-dev
// libfmt-dev. Build tags:
//
//	tokenstore_postgres  PostgreSQL as well: libpq-dev, and pkg-config
//	tokenstore_system    links an installed libtokenstore, found by pkg-config, instead
//	tokenstore_static    links everything statically
//
// # Threads and contexts
//
// A Store, and everything else here unless its comment says otherwise, may be used by many goroutines at once. Close it
// when you like: calls that are under way end first, and later ones answer [ErrClosed].
//
// A method takes a context where it may have to wait for storage. When the context ends, the method returns at once with
// the context's error. The call behind it goes on and ends by a deadline of its own (the busy timeout of SQLite, the
// deadline of PostgreSQL); what it did is done. A method that changes something then answers an error for which
// errors.Is(err, ErrUnknown) holds as well: read to find out. A context that had ended before changes nothing.
//
// # Errors
//
// Decide by errors.Is(err, tokenstore.ErrNotFound) and the like, or by the Status of an [Error]. A message is one line
// that says what to do; it never holds a token or a key.
//
// # Zero values
//
// Each has one meaning: a lifetime of 0 is the policy's default (without an end is [Never]), a zero time means "now",
// "at once" or "never happened", as the field says, an empty scope is held by no token, and the zero [Verdict] is
// not valid.
package tokenstore

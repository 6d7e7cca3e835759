//go:build tokenstore_postgres

package tokenstore

/*
#include "shim.h"
#include "tokenstore_postgres.h"
*/
import "C"

import (
	"unsafe"
)

// OpenPostgres opens a store in a PostgreSQL, which libpq finds by conninfo: "host=db dbname=app user=app", or a
// postgresql:// URI. A key is required. It needs a build with the tag tokenstore_postgres.
func OpenPostgres(conninfo string, postgres PostgresOptions, options ...Option) (*Store, error) {
	staleness, err := lifetime(postgres.MaxStaleness, "the staleness")
	if err != nil {
		return nil, err
	}
	deadline, err := milliseconds(postgres.Deadline, "the deadline")
	if err != nil {
		return nil, err
	}
	if postgres.PoolSize < 0 {
		return nil, invalid("the size of the pool is negative: set the most connections, or 0 for the default")
	}
	return opened(options, func(s *settings, out **C.tokenstore_store, object **C.tokenstore_error) C.int32_t {
		wanted := (*C.tokenstore_postgres_options)(s.arena.allocate(int(C.sizeof_tokenstore_postgres_options)))
		wanted.struct_size = C.sizeof_tokenstore_postgres_options
		wanted.conninfo, wanted.conninfo_size = s.arena.text(conninfo)
		wanted.schema, wanted.schema_size = s.arena.text(postgres.Schema)
		wanted.max_staleness_ms = staleness
		wanted.deadline_ms = deadline
		wanted.pool_size = C.uint64_t(postgres.PoolSize)
		wanted.must_exist = flag(postgres.MustExist)
		wanted.read_only = flag(postgres.ReadOnly)
		wanted.no_listener_thread = flag(postgres.NoListenerThread)
		backend := (*C.tokenstore_backend)(s.arena.allocate(int(C.sizeof_tokenstore_backend)))
		if status := C.tokenstore_postgres_backend(wanted, backend); status != C.TOKENSTORE_OK {
			return status
		}
		memory := s.arena.allocate(int(C.sizeof_tokenstore_open_options))
		*(*C.tokenstore_open_options)(memory) = s.options
		return C.tokenstore_open_backend((*C.tokenstore_open_options)(unsafe.Pointer(memory)), backend, out, object)
	})
}

package tokenstore

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"unsafe"
)

// KeyState is a key and what hangs on it in a whole store. Use is 0 of a key that the keyring does not hold.
type KeyState struct {
	KeyID        string
	Use          KeyUse
	Seals        uint64 // records that it sealed
	LivingTokens uint64 // tokens of its own that have not ended: they end with it
}

// AddKey adds a new key to the key file, verify-only, and returns its id. The way of a key, while the store is in use and no
// genuine token is refused: AddKey, ActivateKey, Reseal in each workspace, RetireKey, RemoveKey. Other processes take part.
// What concerns keys is the host's alone, since they are every workspace's: ErrPermissionDenied for any other actor.
func (s *Store) AddKey(ctx context.Context, actor Actor) (id string, err error) {
	return ask(ctx, s, changes, func(handle *C.tokenstore_store) (string, error) {
		var a arena
		defer a.free()
		const room = 3
		buffer := (*C.char)(unsafe.Pointer(a.allocate(room)))
		var size C.size_t
		var object *C.tokenstore_error
		status := C.tokenstore_key_add(handle, a.actor(actor), buffer, room, &size, &object)
		if err := failure(status, object); err != nil {
			return "", err
		}
		return taken(buffer, size), nil
	}, nil)
}

// ActivateKey has a key make what is new, in place of the active one, which is verify-only then.
func (s *Store) ActivateKey(ctx context.Context, actor Actor, id string) error {
	return do(ctx, s, changes, func(handle *C.tokenstore_store) error {
		var a arena
		defer a.free()
		text, size := a.text(id)
		var object *C.tokenstore_error
		return failure(C.tokenstore_key_activate(handle, a.actor(actor), text, size, &object), object)
	})
}

// RetireKey ends a key and its tokens. It is refused if the key is active, or seals what outlives it.
func (s *Store) RetireKey(ctx context.Context, actor Actor, id string) error {
	return do(ctx, s, changes, func(handle *C.tokenstore_store) error {
		var a arena
		defer a.free()
		text, size := a.text(id)
		var object *C.tokenstore_error
		return failure(C.tokenstore_key_retire(handle, a.actor(actor), text, size, &object), object)
	})
}

// RemoveKey takes a key out. It is refused if the key is active, or something hangs on it.
func (s *Store) RemoveKey(ctx context.Context, actor Actor, id string) error {
	return do(ctx, s, changes, func(handle *C.tokenstore_store) error {
		var a arena
		defer a.free()
		text, size := a.text(id)
		var object *C.tokenstore_error
		return failure(C.tokenstore_key_remove(handle, a.actor(actor), text, size, &object), object)
	})
}

// KeyStatus counts what hangs on each key of the whole store. It reads every record.
func (s *Store) KeyStatus(ctx context.Context, actor Actor) ([]KeyState, error) {
	return ask(ctx, s, reads, func(handle *C.tokenstore_store) ([]KeyState, error) {
		var a arena
		defer a.free()
		var report *C.tokenstore_key_report
		var object *C.tokenstore_error
		status := C.tokenstore_key_status(handle, a.actor(actor), nil, nil, &report, &object)
		defer C.tokenstore_key_report_free(report)
		if err := failure(status, object); err != nil {
			return nil, err
		}
		var keys []KeyState
		count := C.tokenstore_key_report_count(report)
		for i := C.size_t(0); i < count; i++ {
			state := C.tokenstore_key_state{struct_size: C.sizeof_tokenstore_key_state}
			status := C.tokenstore_key_report_key(report, i, &state, &object)
			if err := failure(status, object); err != nil {
				return nil, err
			}
			keys = append(keys, KeyState{KeyID: taken(state.key_id, state.key_id_size), Use: KeyUse(state.use),
				Seals: uint64(state.seals), LivingTokens: uint64(state.living_tokens)})
		}
		return keys, nil
	}, nil)
}

// ReloadKeys looks for other keys at once. Changed says that there were. An open store notices a changed key file without
// it, too.
func (s *Store) ReloadKeys(ctx context.Context) (changed bool, err error) {
	return ask(ctx, s, reads, func(handle *C.tokenstore_store) (bool, error) {
		var changed C.int32_t
		var object *C.tokenstore_error
		status := C.tokenstore_keys_reload(handle, &changed, &object)
		return changed != 0, failure(status, object)
	}, nil)
}

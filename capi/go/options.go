package tokenstore

/*
#include "shim.h"
*/
import "C"

import "time"

// Option is how to open a store. The key is one of WithKeyFile, WithKeyBytes, WithKeyring and WithCredential; with none of
// them Open takes the file "<path>.key", which is made together with a new database, and OpenMemory makes a key of its own.
type Option func(*settings) error

type settings struct {
	arena    arena
	options  C.tokenstore_open_options
	keyrings []*Keyring
	testing  *fortestsState
}

func text(set func(*C.tokenstore_open_options, *C.char, C.size_t), given string) Option {
	return func(s *settings) error {
		memory, size := s.arena.text(given)
		set(&s.options, memory, size)
		return nil
	}
}

// WithKeyFile takes the keys from a file, by the strict rules or those that trust names.
func WithKeyFile(path string, trust ...KeyFileTrust) Option {
	return func(s *settings) error {
		if path == "" {
			return invalid("the path of the key file is empty")
		}
		s.options.key_file, s.options.key_file_size = s.arena.text(path)
		s.options.key_file_trust |= C.int32_t(added(trust))
		return nil
	}
}

// WithKeyFileTrust says which key files are taken, where Open finds the path itself.
func WithKeyFileTrust(trust ...KeyFileTrust) Option {
	return func(s *settings) error {
		s.options.key_file_trust |= C.int32_t(added(trust))
		return nil
	}
}

// WithKeyBytes takes one active key of 32 bytes; an empty id is "0A". Wipe your own copy.
func WithKeyBytes(master []byte, id string) Option {
	return func(s *settings) error {
		if len(master) != MasterKeySize {
			return invalid("a master key has %d bytes, and this one has %d", MasterKeySize, len(master))
		}
		bytes, size := s.arena.bytes(master)
		s.options.key_bytes, s.options.key_bytes_size = (*C.uint8_t)(bytes), size
		s.options.key_id, s.options.key_id_size = s.arena.text(id)
		return nil
	}
}

// WithKeyring takes a copy of the keyring, which may be closed afterwards.
func WithKeyring(keyring *Keyring) Option {
	return func(s *settings) error {
		if keyring == nil {
			return invalid("the keyring is nil")
		}
		s.keyrings = append(s.keyrings, keyring)
		return nil
	}
}

// WithCredential takes the keys from the credential that systemd hands over under this name.
func WithCredential(name string) Option {
	return func(s *settings) error {
		if name == "" {
			return invalid("the name of the credential is empty")
		}
		s.options.key_credential, s.options.key_credential_size = s.arena.text(name)
		return nil
	}
}

// WithJournal keeps a file outside the database that testifies to what was ended, so that an older database brings
// nothing back. It is made if it is missing, and shared by the processes of this machine.
func WithJournal(path string) Option {
	return text(func(o *C.tokenstore_open_options, t *C.char, size C.size_t) { o.journal, o.journal_size = t, size }, path)
}

// WithJournalSegments says when the journal begins a new segment, in Maintain: when this one has grown by so many bytes (0: 64
// MiB), or is so old (0: however old it is). Earlier ones are kept until an administrator removes them.
func WithJournalSegments(bytes int64, age time.Duration) Option {
	return func(s *settings) (err error) {
		if bytes < 0 {
			return invalid("the bytes of a segment are negative: set a positive number, or 0 for the default")
		}
		s.options.journal_segment_bytes = C.int64_t(bytes)
		s.options.journal_segment_age_ms, err = milliseconds(age, "the age of a segment")
		return err
	}
}

// WithWorkspace opens the store for a tenant; without it, "default". One file holds many.
func WithWorkspace(name string) Option {
	return text(func(o *C.tokenstore_open_options, t *C.char, size C.size_t) { o.workspace, o.workspace_size = t, size }, name)
}

// WithPrefix sets the first letters of the token text, 2..24 of a-z 0-9 _; without it, "pat".
func WithPrefix(prefix string) Option {
	return text(func(o *C.tokenstore_open_options, t *C.char, size C.size_t) { o.prefix, o.prefix_size = t, size }, prefix)
}

// WithVFS names the VFS of SQLite that opens the file.
func WithVFS(name string) Option {
	return text(func(o *C.tokenstore_open_options, t *C.char, size C.size_t) { o.vfs, o.vfs_size = t, size }, name)
}

// WithBusyTimeout says how long a write waits for another process on SQLite; 0 is 5 s, Never not at all.
func WithBusyTimeout(wait time.Duration) Option {
	return func(s *settings) (err error) {
		s.options.busy_timeout_ms, err = lifetime(wait, "the busy timeout")
		return err
	}
}

// WithUseInterval says how often last uses are written out; 0 is a minute.
func WithUseInterval(interval time.Duration) Option {
	return func(s *settings) (err error) {
		s.options.use_interval_ms, err = milliseconds(interval, "the interval of last uses")
		return err
	}
}

// WithCacheBytes limits the memory for validated tokens; 0 is 64 MiB.
func WithCacheBytes(bytes int64) Option {
	return func(s *settings) error {
		if bytes < 0 {
			return invalid("the size of the cache is negative: say WithoutCache for none")
		}
		s.options.cache_bytes = C.int64_t(bytes)
		return nil
	}
}

// WithoutCache keeps no validated tokens: each validation asks storage.
func WithoutCache() Option { return with(func(o *C.tokenstore_open_options) { o.cache_bytes = -1 }) }

// SurvivesCrashButNotPowerCut lets a power cut take the last changes back, which makes each cheaper. Without it, what was
// acknowledged survives that, too.
func SurvivesCrashButNotPowerCut() Option {
	return with(func(o *C.tokenstore_open_options) {
		o.durability = C.TOKENSTORE_DURABILITY_SURVIVES_CRASH_BUT_NOT_POWER_CUT
	})
}

// ReadOnly opens a SQLite file for reading: every change answers ErrReadOnly.
func ReadOnly() Option { return with(func(o *C.tokenstore_open_options) { o.read_only = 1 }) }

// MustExist does not make the SQLite file.
func MustExist() Option { return with(func(o *C.tokenstore_open_options) { o.must_exist = 1 }) }

// WorkspaceMustExist does not make the workspace.
func WorkspaceMustExist() Option {
	return with(func(o *C.tokenstore_open_options) { o.workspace_must_exist = 1 })
}

// WithUpkeep gives the store a thread of its own that does what Maintain does. Without it, call Maintain every few
// seconds.
func WithUpkeep() Option { return with(func(o *C.tokenstore_open_options) { o.upkeep_thread = 1 }) }

func with(set func(*C.tokenstore_open_options)) Option {
	return func(s *settings) error {
		set(&s.options)
		return nil
	}
}

// Open opens a store in a SQLite file, and makes the file at its first use.
func Open(path string, options ...Option) (*Store, error) {
	return open(C.TOKENSTORE_BACKEND_SQLITE, path, options)
}

// OpenMemory opens a store that lives and dies with the Store.
func OpenMemory(options ...Option) (*Store, error) {
	return open(C.TOKENSTORE_BACKEND_MEMORY, "", options)
}

func open(backend C.int32_t, path string, options []Option) (*Store, error) {
	return opened(options, func(s *settings, out *(*C.tokenstore_store), object *(*C.tokenstore_error)) C.int32_t {
		s.options.backend = backend
		s.options.path, s.options.path_size = s.arena.text(path)
		memory := (*C.tokenstore_open_options)(s.arena.allocate(int(C.sizeof_tokenstore_open_options)))
		*memory = s.options
		return C.tokenstore_open(memory, out, object)
	})
}

// opened gathers the options and calls call with them.
func opened(options []Option, call func(*settings, *(*C.tokenstore_store), *(*C.tokenstore_error)) C.int32_t) (*Store, error) {
	var s settings
	defer s.arena.free()
	s.options.struct_size = C.sizeof_tokenstore_open_options
	for _, option := range options {
		if err := option(&s); err != nil {
			return nil, err
		}
	}
	if len(s.keyrings) > 1 {
		return nil, invalid("two keyrings are given: put all keys into one")
	}
	var handle *C.tokenstore_store
	call1 := func() error {
		var object *C.tokenstore_error
		status := call(&s, &handle, &object)
		return failure(status, object)
	}
	err := error(nil)
	if len(s.keyrings) == 1 {
		err = s.keyrings[0].locked(func(keyring *C.tokenstore_keyring) error {
			s.options.keyring = keyring
			return call1()
		})
	} else {
		err = call1()
	}
	if err != nil {
		s.testing.free()
		return nil, err
	}
	store := newStore(handle)
	store.testing = s.testing
	return store, nil
}

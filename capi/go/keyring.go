package tokenstore

/*
#include "shim.h"
*/
import "C"

import (
	"runtime"
	"sync"
	"unsafe"
)

// KeyUse is what a key of a keyring is for.
type KeyUse int32

// The uses of a key.
const (
	KeyActive     KeyUse = C.TOKENSTORE_KEY_ACTIVE
	KeyVerifyOnly KeyUse = C.TOKENSTORE_KEY_VERIFY_ONLY // what it made still validates
	KeyRetired    KeyUse = C.TOKENSTORE_KEY_RETIRED     // its tokens have ended
)

// KeyFileTrust names weakenings of which key files are taken; they are added up. 0 is strict: the file must be regular, of
// the caller or root, and closed to group and others.
type KeyFileTrust int32

// Each weakening has a name.
const (
	// Of root, and its group may read it: Kubernetes under fsGroup, systemd's credentials by their path.
	GroupReadableOfRoot KeyFileTrust = C.TOKENSTORE_KEY_FILE_GROUP_READABLE_OF_ROOT
	// Of root, and everybody may read it: secrets in a container in which nobody else runs.
	WorldReadableOfRoot KeyFileTrust = C.TOKENSTORE_KEY_FILE_WORLD_READABLE_OF_ROOT
	// /dev/fd/N or /proc/self/fd/N: a descriptor of this process, whoever's it is. It is read to its end and stays open.
	InheritedDescriptor KeyFileTrust = C.TOKENSTORE_KEY_FILE_INHERITED_DESCRIPTOR
)

// MasterKeySize is how many bytes a master key has.
const MasterKeySize = C.TOKENSTORE_MASTER_KEY_SIZE

// KeyInfo describes a key, without its secret.
type KeyInfo struct {
	ID  string
	Use KeyUse
}

// Keyring holds master keys of 32 bytes, each under an id of two characters (0-9 A-Z a-z). One is active: it makes what is
// new. A store that is opened with a key file needs none.
type Keyring struct {
	mutex  sync.Mutex
	handle *C.tokenstore_keyring
}

func newKeyring(handle *C.tokenstore_keyring, status C.int32_t, object *C.tokenstore_error) (*Keyring, error) {
	if err := failure(status, object); err != nil {
		return nil, err
	}
	k := &Keyring{handle: handle}
	runtime.SetFinalizer(k, func(k *Keyring) { _ = k.Close() })
	return k, nil
}

// GenerateKeyring makes a keyring with one new active key, "0A", from the system's random source.
func GenerateKeyring() (*Keyring, error) {
	var handle *C.tokenstore_keyring
	var object *C.tokenstore_error
	status := C.tokenstore_keyring_generate(&handle, &object)
	return newKeyring(handle, status, object)
}

// KeyringFromBytes makes a keyring with one active key of 32 bytes; an empty id is "0A". Wipe your own copy.
func KeyringFromBytes(master []byte, id string) (*Keyring, error) {
	var a arena
	defer a.free()
	bytes, size := a.bytes(master)
	name, nameSize := a.text(id)
	var handle *C.tokenstore_keyring
	var object *C.tokenstore_error
	status := C.tokenstore_keyring_from_bytes((*C.uint8_t)(bytes), size, name, nameSize, &handle, &object)
	return newKeyring(handle, status, object)
}

// KeyringFromFile reads a key file, by the strict rules or those that trust names.
func KeyringFromFile(path string, trust ...KeyFileTrust) (*Keyring, error) {
	name, size := given(path)
	var handle *C.tokenstore_keyring
	var object *C.tokenstore_error
	var status C.int32_t
	if len(trust) == 0 {
		status = C.tokenstore_keyring_from_file(name, size, &handle, &object)
	} else {
		status = C.tokenstore_keyring_from_file_trusting(name, size, C.int32_t(added(trust)), &handle, &object)
	}
	return newKeyring(handle, status, object)
}

// KeyringFromCredential reads the key file that systemd hands to a service as a credential (LoadCredential=NAME:PATH).
func KeyringFromCredential(name string) (*Keyring, error) {
	text, size := given(name)
	var handle *C.tokenstore_keyring
	var object *C.tokenstore_error
	status := C.tokenstore_keyring_from_credential(text, size, &handle, &object)
	return newKeyring(handle, status, object)
}

// KeyringFromText reads the text of a key file that came from elsewhere. Wipe your own copy.
func KeyringFromText(text []byte) (*Keyring, error) {
	var a arena
	defer a.free()
	bytes, size := a.bytes(text)
	var handle *C.tokenstore_keyring
	var object *C.tokenstore_error
	status := C.tokenstore_keyring_from_text((*C.char)(bytes), size, &handle, &object)
	return newKeyring(handle, status, object)
}

func added(trust []KeyFileTrust) KeyFileTrust {
	var sum KeyFileTrust
	for _, one := range trust {
		sum |= one
	}
	return sum
}

// locked runs f on the keyring, which nobody changes or closes meanwhile.
func (k *Keyring) locked(f func(*C.tokenstore_keyring) error) error {
	if k == nil {
		return ErrClosed
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.handle == nil {
		return ErrClosed
	}
	return f(k.handle)
}

// Add adds a key. It is refused if the id is taken, or a second key would be active.
func (k *Keyring) Add(id string, use KeyUse, master []byte) error {
	var a arena
	defer a.free()
	bytes, size := a.bytes(master)
	name, nameSize := a.text(id)
	return k.locked(func(handle *C.tokenstore_keyring) error {
		var object *C.tokenstore_error
		status := C.tokenstore_keyring_add(handle, name, nameSize, C.int32_t(use), (*C.uint8_t)(bytes), size, &object)
		return failure(status, object)
	})
}

// Keys describes the keys, without their secrets.
func (k *Keyring) Keys() ([]KeyInfo, error) {
	var keys []KeyInfo
	err := k.locked(func(handle *C.tokenstore_keyring) error {
		count := C.tokenstore_keyring_count(handle)
		info := C.tokenstore_key_info{struct_size: C.sizeof_tokenstore_key_info}
		for i := C.size_t(0); i < count; i++ {
			var object *C.tokenstore_error
			status := C.tokenstore_keyring_key(handle, i, &info, &object)
			if err := failure(status, object); err != nil {
				return err
			}
			keys = append(keys, KeyInfo{ID: taken(info.id, info.id_size), Use: KeyUse(info.use)})
			info = C.tokenstore_key_info{struct_size: C.sizeof_tokenstore_key_info}
		}
		return nil
	})
	return keys, err
}

// WriteNewFile writes a new key file, mode 0600, durable on return. It never overwrites.
func (k *Keyring) WriteNewFile(path string) error {
	return k.locked(func(handle *C.tokenstore_keyring) error {
		name, size := given(path)
		var object *C.tokenstore_error
		status := C.tokenstore_keyring_write_new_file(handle, name, size, &object)
		return failure(status, object)
	})
}

// Text is the text of a key file, for a place that keeps secrets.
func (k *Keyring) Text() (Secret, error) {
	var secret Secret
	err := k.locked(func(handle *C.tokenstore_keyring) error {
		var size C.size_t
		var object *C.tokenstore_error
		status := C.tokenstore_keyring_reveal_text(handle, nil, 0, &size, &object)
		if status != C.TOKENSTORE_BUFFER_TOO_SMALL {
			return failure(status, object)
		}
		C.tokenstore_error_free(object)
		var a arena
		defer a.free()
		buffer := a.allocate(int(size))
		status = C.tokenstore_keyring_reveal_text(handle, (*C.char)(buffer), size, &size, &object)
		if err := failure(status, object); err != nil {
			return err
		}
		secret = newSecret(append([]byte(nil), unsafe.Slice((*byte)(buffer), int(size))...))
		return nil
	})
	return secret, err
}

// Close wipes the keyring. Stores that were opened with it are not affected. Closing again does nothing.
func (k *Keyring) Close() error {
	if k == nil {
		return nil
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	C.tokenstore_keyring_free(k.handle)
	k.handle = nil
	runtime.SetFinalizer(k, nil)
	return nil
}

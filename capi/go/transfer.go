package tokenstore

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"time"
)

// BackupInfo is what a backup says of itself, under its seal.
type BackupInfo struct {
	MadeAt     time.Time
	Workspaces uint64
	Owners     uint64
	Tokens     uint64
	Revision   uint64 // of all workspaces together: how many changes were announced
	Store      string // the store's id
}

func backupInfo(info *C.tokenstore_backup_info) BackupInfo {
	return BackupInfo{MadeAt: moment(info.made_at), Workspaces: uint64(info.workspaces), Owners: uint64(info.owners),
		Tokens: uint64(info.tokens), Revision: uint64(info.revision), Store: C.GoString(&info.store[0])}
}

// Backup writes every workspace of the storage into one sealed file, mode 0600, while it is in use. It is for the Host alone.
// With overwrite an earlier backup of that name is replaced; nothing else ever is. The keys are not in it. Restore makes a
// store of it again.
func (s *Store) Backup(ctx context.Context, actor Actor, place string, overwrite bool) (BackupInfo, error) {
	return ask(ctx, s, reads, func(handle *C.tokenstore_store) (BackupInfo, error) {
		var a arena
		defer a.free()
		text, size := a.text(place)
		info := C.tokenstore_backup_info{struct_size: C.sizeof_tokenstore_backup_info}
		var object *C.tokenstore_error
		status := C.tokenstore_backup(handle, a.actor(actor), text, size, flag(overwrite), nil, nil, &info, &object)
		if err := failure(status, object); err != nil {
			return BackupInfo{}, err
		}
		return backupInfo(&info), nil
	}, nil)
}

// VerifyBackup reads a backup to its end and verifies its seal. ErrNotAStore: it is none, or was cut short. ErrTampered: it
// was altered, or is of another keyring's store.
func VerifyBackup(backup string, keyring *Keyring) (BackupInfo, error) {
	var described BackupInfo
	err := keyring.locked(func(handle *C.tokenstore_keyring) error {
		text, size := given(backup)
		info := C.tokenstore_backup_info{struct_size: C.sizeof_tokenstore_backup_info}
		var object *C.tokenstore_error
		if err := failure(C.tokenstore_verify_backup(text, size, handle, &info, &object), object); err != nil {
			return err
		}
		described = backupInfo(&info)
		return nil
	})
	return described, err
}

// Restored is what Restore did, and what that undid.
type Restored struct {
	MadeAt          time.Time // of the backup
	Tokens          uint64    // in the backup
	Owners          uint64
	Compared        bool   // there was a store, and it could be read: what is lost is counted below
	LostEndings     uint64 // tokens that had ended or were deleted, and live again
	LostSuspensions uint64 // owners who were suspended, or might not use tokens, and may again
	LostTokens      uint64 // that were issued since
	LostChanges     uint64 // other records that were changed since
	KeptFile        string // the database that was there; "": there was none
}

// Restore verifies a backup and puts what it holds in the place of a SQLite database, in one step; the old file is kept. With
// overwrite a store that has what the backup has not, or cannot be read, is replaced too; else that is ErrConflict. Whoever
// has the old file open is told ErrUnavailable, and opens the store again.
func Restore(backup string, keyring *Keyring, path string, overwrite bool) (Restored, error) {
	var restored Restored
	err := keyring.locked(func(handle *C.tokenstore_keyring) error {
		from, fromSize := given(backup)
		to, toSize := given(path)
		summary := C.tokenstore_restore_summary{struct_size: C.sizeof_tokenstore_restore_summary}
		var object *C.tokenstore_error
		status := C.tokenstore_restore(from, fromSize, handle, to, toSize, flag(overwrite), nil, nil, &summary, &object)
		if err := failure(status, object); err != nil {
			return err
		}
		restored = Restored{MadeAt: moment(summary.made_at), Tokens: uint64(summary.tokens), Owners: uint64(summary.owners),
			Compared: summary.compared != 0, LostEndings: uint64(summary.lost_endings),
			LostSuspensions: uint64(summary.lost_suspensions), LostTokens: uint64(summary.lost_tokens),
			LostChanges: uint64(summary.lost_changes), KeptFile: taken(&summary.kept_file[0], summary.kept_file_size)}
		return nil
	})
	return restored, err
}

// Copied is what Copy did.
type Copied struct {
	Workspaces uint64
	Tokens     uint64 // seen in the source
	Owners     uint64
	Written    uint64 // records put into the target, or removed there
	Different  uint64 // records that changed in the source meanwhile: copy again
}

// Copy makes a SQLite database, new or an earlier copy, hold what this storage holds, while it is in use. It is for the Host
// alone. With deleteExtra tokens that only the copy has are removed; else finding one is ErrConflict.
func (s *Store) Copy(ctx context.Context, actor Actor, path string, deleteExtra bool) (Copied, error) {
	return ask(ctx, s, reads, func(handle *C.tokenstore_store) (Copied, error) {
		var a arena
		defer a.free()
		text, size := a.text(path)
		summary := C.tokenstore_copy_summary{struct_size: C.sizeof_tokenstore_copy_summary}
		var object *C.tokenstore_error
		status := C.tokenstore_copy(handle, a.actor(actor), text, size, flag(deleteExtra), nil, nil, &summary, &object)
		if err := failure(status, object); err != nil {
			return Copied{}, err
		}
		return Copied{Workspaces: uint64(summary.workspaces), Tokens: uint64(summary.tokens), Owners: uint64(summary.owners),
			Written: uint64(summary.written), Different: uint64(summary.different)}, nil
	}, nil)
}

package tokenstore

/*
#include "shim.h"
*/
import "C"

import (
	"time"
	"unsafe"
)

// Deed is what was done, of a line in the journal.
type Deed int32

// What can be done.
const (
	DeedIssued        Deed = C.TOKENSTORE_DEED_ISSUED
	DeedRevoked       Deed = C.TOKENSTORE_DEED_REVOKED
	DeedExpired       Deed = C.TOKENSTORE_DEED_EXPIRED // at once or, EndsAt says, later
	DeedRemoved       Deed = C.TOKENSTORE_DEED_REMOVED // deleted by somebody
	DeedPurged        Deed = C.TOKENSTORE_DEED_PURGED  // deleted because it had ended long ago
	DeedSuspended     Deed = C.TOKENSTORE_DEED_SUSPENDED
	DeedResumed       Deed = C.TOKENSTORE_DEED_RESUMED
	DeedOwnerSet      Deed = C.TOKENSTORE_DEED_OWNER_SET
	DeedAllRevoked    Deed = C.TOKENSTORE_DEED_ALL_REVOKED
	DeedPolicySet     Deed = C.TOKENSTORE_DEED_POLICY_SET
	DeedWorkspaceMade Deed = C.TOKENSTORE_DEED_WORKSPACE_MADE
	DeedResealed      Deed = C.TOKENSTORE_DEED_RESEALED
	DeedLearned       Deed = C.TOKENSTORE_DEED_LEARNED // another host's change, as storage shows it
	DeedHealed        Deed = C.TOKENSTORE_DEED_HEALED  // put forward again from the journal
	DeedKeyAdded      Deed = C.TOKENSTORE_DEED_KEY_ADDED
	DeedKeyActivated  Deed = C.TOKENSTORE_DEED_KEY_ACTIVATED
	DeedKeyRetired    Deed = C.TOKENSTORE_DEED_KEY_RETIRED
	DeedKeyRemoved    Deed = C.TOKENSTORE_DEED_KEY_REMOVED
	DeedAccepted      Deed = C.TOKENSTORE_DEED_ACCEPTED // what is left of a damaged journal, by an administrator
)

// String is the name for logs, as in "all_revoked".
func (d Deed) String() string { return C.GoString(C.tokenstore_deed_name(C.int32_t(d))) }

// Journaled is what a line in the journal is about.
type Journaled int32

// What can be written down about.
const (
	JournaledToken     Journaled = C.TOKENSTORE_JOURNALED_TOKEN
	JournaledOwner     Journaled = C.TOKENSTORE_JOURNALED_OWNER
	JournaledWorkspace Journaled = C.TOKENSTORE_JOURNALED_WORKSPACE
	JournaledStore     Journaled = C.TOKENSTORE_JOURNALED_STORE
)

// JournalEntry is one change, as it was written down.
type JournalEntry struct {
	Number    uint64 // from 1 on, over all segments; 0: carried over from segments that are gone
	Segment   uint64
	At        time.Time // the zero time: not known
	EndsAt    time.Time // of a token: its end since; the zero time: none, or not known
	Revision  uint64    // of the record since; 0: none
	Deed      Deed
	Record    Journaled // what was changed
	Gone      bool      // the record was deleted
	Workspace string
	TokenID   string // of a token
	KeyID     string // of a key that was added, activated, retired or removed
	Owner     string // whom it concerns, if known
	Actor     string // "host", "user:NAME" or "administrator:NAME"; empty: not known
	Reason    string
}

// JournalQuery says which entries are told. What is left out leaves nothing out.
type JournalQuery struct {
	From      time.Time // done then or later
	To        time.Time // done before then
	Deed      Deed
	Workspace string
	Owner     string
	TokenID   string
	Actor     string // as it is written, or the name in it alone
	After     string // the Next of an earlier reading, of another process too: what comes behind it
}

// JournalProblemKind is what is not as it was written in a journal.
type JournalProblemKind int32

// What can be wrong.
const (
	JournalDamaged JournalProblemKind = C.TOKENSTORE_PROBLEM_DAMAGED // altered, cut short, or not what belongs there
	JournalMissing JournalProblemKind = C.TOKENSTORE_PROBLEM_MISSING // a segment is gone, though not the earliest
	// Written under a key that is retired or not in the keyring: it cannot be told.
	JournalNoKey JournalProblemKind = C.TOKENSTORE_PROBLEM_NO_KEY
)

// JournalProblem is something about a journal that is not as it was written.
type JournalProblem struct {
	Kind     JournalProblemKind
	Accepted bool // an administrator has looked at it, and a later entry says so
	File     string
	Segment  uint64
	Octet    uint64 // where in the file; what is before it is good
	Entry    uint64 // the number of the last good entry before it
	What     string
}

// JournalReport is what verifying found.
type JournalReport struct {
	Segments     uint64 // that are good, to the end
	FirstSegment uint64 // more than 1: those before it are no longer there, which is no damage
	Entries      uint64 // that are good
	LastEntry    uint64 // the number of the last of them
	Torn         uint64 // bytes of a write at the end that did not come to its own: acknowledged to nobody, no damage
	Problems     []JournalProblem
	Damaged      bool   // something is damaged or missing that nobody has accepted
	LacksKey     bool   // something could not be read for lack of a key
	Store        string // the store's id; zeroes if nothing could be read
}

// JournalReading is how a reading ended.
type JournalReading struct {
	Told     uint64 // entries
	Stopped  bool   // by take
	Next     string // JournalQuery.After of the next reading
	Problems []JournalProblem
	Damaged  bool // of what was read, something is damaged or missing that nobody has accepted
	LacksKey bool // of what was to be read, something could not be for lack of a key
}

// JournalAcceptance is what accepting did.
type JournalAcceptance struct {
	Segment   uint64 // the new one
	LastEntry uint64 // the last that was good
	KeptFile  string // where the file that was in use is now; "": it was missing
}

// entriesAtOnce are kept in memory while a journal is read.
const entriesAtOnce = 1000

// ReadJournal tells the entries of all segments of a journal, oldest first, until take answers false. A store may write to it
// meanwhile, and need not be open here. Nothing is told that the keyring does not vouch for; a damaged journal is told as far
// as it is good, and on from the next segment.
func ReadJournal(journal string, keyring *Keyring, query JournalQuery, take func(JournalEntry) bool) (JournalReading, error) {
	reading := JournalReading{Next: query.After}
	for {
		entries, some, err := readSome(journal, keyring, query, entriesAtOnce)
		if err != nil {
			return reading, err
		}
		for i, entry := range entries {
			reading.Told++
			if take(entry) {
				continue
			}
			// The place behind the last entry that was taken, and what had been found until there.
			if _, some, err = readSome(journal, keyring, query, i+1); err != nil {
				return reading, err
			}
			some.Stopped = true
			reading.add(some)
			return reading, nil
		}
		reading.add(some)
		if !some.Stopped {
			reading.Stopped = false
			return reading, nil
		}
		query.After = some.Next
	}
}

func (r *JournalReading) add(some JournalReading) {
	r.Stopped = some.Stopped
	r.Next = some.Next
	r.Problems = append(r.Problems, some.Problems...)
	r.Damaged = r.Damaged || some.Damaged
	r.LacksKey = r.LacksKey || some.LacksKey
}

func readSome(journal string, keyring *Keyring, query JournalQuery, most int) ([]JournalEntry, JournalReading, error) {
	var entries []JournalEntry
	var reading JournalReading
	err := keyring.locked(func(handle *C.tokenstore_keyring) error {
		var a arena
		defer a.free()
		asked := (*C.tokenstore_journal_query)(a.allocate(C.sizeof_tokenstore_journal_query))
		asked.struct_size = C.sizeof_tokenstore_journal_query
		asked.from, asked.to, asked.deed = instant(query.From), instant(query.To), C.int32_t(query.Deed)
		asked.workspace, asked.workspace_size = a.text(query.Workspace)
		asked.owner, asked.owner_size = a.text(query.Owner)
		asked.token_id, asked.token_id_size = a.text(query.TokenID)
		asked.actor, asked.actor_size = a.text(query.Actor)
		asked.after, asked.after_size = a.text(query.After)
		kept := (*C.tokenstore_go_journal)(a.allocate(C.sizeof_tokenstore_go_journal))
		defer C.tokenstore_go_journal_free(kept)
		kept.most = C.size_t(most)
		path, size := a.text(journal)
		read := C.tokenstore_journal_reading{struct_size: C.sizeof_tokenstore_journal_reading}
		var object *C.tokenstore_error
		status := C.tokenstore_go_journal_read(path, size, handle, asked, kept, &read, &object)
		if err := failure(status, object); err != nil {
			return err
		}
		entries = make([]JournalEntry, 0, kept.entry_count)
		for _, entry := range unsafe.Slice(kept.entries, kept.entry_count) {
			entries = append(entries, journalEntry(&entry))
		}
		reading = JournalReading{Told: uint64(read.told), Stopped: read.stopped != 0, Problems: problemsOf(kept),
			Next: taken(&read.next[0], read.next_size), Damaged: read.damaged != 0, LacksKey: read.lacks_key != 0}
		return nil
	})
	return entries, reading, err
}

func journalEntry(entry *C.tokenstore_journal_entry) JournalEntry {
	return JournalEntry{Number: uint64(entry.number), Segment: uint64(entry.segment), At: moment(entry.at),
		EndsAt: moment(entry.ends_at), Revision: uint64(entry.revision), Deed: Deed(entry.deed),
		Record: Journaled(entry.record), Gone: entry.gone != 0, Workspace: taken(entry.workspace, entry.workspace_size),
		TokenID: taken(entry.token_id, entry.token_id_size), KeyID: taken(entry.key_id, entry.key_id_size),
		Owner: taken(entry.owner, entry.owner_size), Actor: taken(entry.actor, entry.actor_size),
		Reason: taken(entry.reason, entry.reason_size)}
}

func problemsOf(kept *C.tokenstore_go_journal) []JournalProblem {
	var problems []JournalProblem
	for _, problem := range unsafe.Slice(kept.problems, kept.problem_count) {
		problems = append(problems, JournalProblem{Kind: JournalProblemKind(problem.kind), Accepted: problem.accepted != 0,
			File: taken(problem.file, problem.file_size), Segment: uint64(problem.segment), Octet: uint64(problem.octet),
			Entry: uint64(problem.entry), What: taken(problem.what, problem.what_size)})
	}
	return problems
}

// VerifyJournal reads all of a journal: every frame, the chain from one to the next and from segment to segment, numbers
// without a gap. Damage is in the report, and no error. Of a journal that was cut off exactly behind an entry nothing shows
// in it: compare LastEntry with what was known before.
func VerifyJournal(journal string, keyring *Keyring) (JournalReport, error) {
	var report JournalReport
	err := keyring.locked(func(handle *C.tokenstore_keyring) error {
		var a arena
		defer a.free()
		kept := (*C.tokenstore_go_journal)(a.allocate(C.sizeof_tokenstore_go_journal))
		defer C.tokenstore_go_journal_free(kept)
		path, size := a.text(journal)
		found := C.tokenstore_journal_report{struct_size: C.sizeof_tokenstore_journal_report}
		var object *C.tokenstore_error
		status := C.tokenstore_go_journal_verify(path, size, handle, kept, &found, &object)
		if err := failure(status, object); err != nil {
			return err
		}
		report = JournalReport{Segments: uint64(found.segments), FirstSegment: uint64(found.first_segment),
			Entries: uint64(found.entries), LastEntry: uint64(found.last_entry), Torn: uint64(found.torn),
			Problems: problemsOf(kept), Damaged: found.damaged != 0, LacksKey: found.lacks_key != 0,
			Store: C.GoString(&found.store[0])}
		return nil
	})
	return report, err
}

// AcceptJournal goes on from what is good of a damaged journal in a new segment, after somebody has looked at it. The file
// that was in use is kept beside it under its number, and nothing is deleted. ErrRefused: nothing is damaged, or nothing can
// be verified. ErrPermissionDenied: a user asked.
func AcceptJournal(journal string, keyring *Keyring, actor Actor) (JournalAcceptance, error) {
	var accepted JournalAcceptance
	err := keyring.locked(func(handle *C.tokenstore_keyring) error {
		var a arena
		defer a.free()
		path, size := a.text(journal)
		done := C.tokenstore_journal_acceptance{struct_size: C.sizeof_tokenstore_journal_acceptance}
		var object *C.tokenstore_error
		status := C.tokenstore_journal_accept(path, size, handle, a.actor(actor), &done, &object)
		if err := failure(status, object); err != nil {
			return err
		}
		accepted = JournalAcceptance{Segment: uint64(done.segment), LastEntry: uint64(done.last_entry),
			KeptFile: taken(&done.kept_file[0], done.kept_file_size)}
		return nil
	})
	return accepted, err
}

package tokenstore

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"time"
)

// Policy is the rules of a workspace. The zero Policy is the default one. To change one rule, get, change and set.
type Policy struct {
	LongestLifetime    time.Duration // 0: 366 days; Never: no limit
	DefaultLifetime    time.Duration // 0: 90 days; the longest lifetime if that is shorter
	MostActivePerOwner uint32        // active and pending tokens; 0: no limit
	NeverAllowed       bool          // tokens without an end may be issued
	UsersMayNotIssue   bool          // administrators and the host only
	TokensDisabled     bool          // nothing validates, nothing is issued
}

// Policy reads the policy.
func (s *Store) Policy(ctx context.Context, actor Actor) (Policy, error) {
	return ask(ctx, s, reads, func(handle *C.tokenstore_store) (Policy, error) {
		var a arena
		defer a.free()
		policy := C.tokenstore_policy{struct_size: C.sizeof_tokenstore_policy}
		var object *C.tokenstore_error
		if err := failure(C.tokenstore_policy_get(handle, a.actor(actor), &policy, &object), object); err != nil {
			return Policy{}, err
		}
		return Policy{
			LongestLifetime:    duration(policy.longest_lifetime_ms),
			DefaultLifetime:    duration(policy.default_lifetime_ms),
			MostActivePerOwner: uint32(policy.most_active_per_owner),
			NeverAllowed:       policy.never_allowed != 0,
			UsersMayNotIssue:   policy.users_may_not_issue != 0,
			TokensDisabled:     policy.tokens_disabled != 0,
		}, nil
	}, nil)
}

// SetPolicy replaces the policy, for tokens to come; a token's own end stays.
func (s *Store) SetPolicy(ctx context.Context, actor Actor, policy Policy) error {
	return do(ctx, s, changes, func(handle *C.tokenstore_store) error {
		longest, err := lifetime(policy.LongestLifetime, "the longest lifetime")
		if err != nil {
			return err
		}
		usual, err := lifetime(policy.DefaultLifetime, "the default lifetime")
		if err != nil {
			return err
		}
		var a arena
		defer a.free()
		wanted := C.tokenstore_policy{
			struct_size:           C.sizeof_tokenstore_policy,
			longest_lifetime_ms:   longest,
			default_lifetime_ms:   usual,
			most_active_per_owner: C.uint32_t(policy.MostActivePerOwner),
			never_allowed:         flag(policy.NeverAllowed),
			users_may_not_issue:   flag(policy.UsersMayNotIssue),
			tokens_disabled:       flag(policy.TokensDisabled),
		}
		var object *C.tokenstore_error
		return failure(C.tokenstore_policy_set(handle, a.actor(actor), &wanted, &object), object)
	})
}

// Purge deletes the records of tokens that ended before a time, in slices, for about the budget (0: 1 s). Not complete says
// that the time ran out: call it again, as after an error.
func (s *Store) Purge(ctx context.Context, actor Actor, endedBefore time.Time, budget time.Duration) (removed uint64, complete bool, err error) {
	type answer struct {
		removed  uint64
		complete bool
	}
	result, err := ask(ctx, s, changes, func(handle *C.tokenstore_store) (answer, error) {
		wait, err := milliseconds(budget, "the budget")
		if err != nil {
			return answer{}, err
		}
		var a arena
		defer a.free()
		var removed C.uint64_t
		var complete C.int32_t
		var object *C.tokenstore_error
		status := C.tokenstore_purge(handle, a.actor(actor), instant(endedBefore), wait, &removed, &complete, &object)
		return answer{uint64(removed), complete != 0}, failure(status, object)
	}, nil)
	return result.removed, result.complete, err
}

// Maintain does housekeeping for about the budget (0: 50 ms): it writes out last uses that are due, and lets storage tidy
// up. A host without WithUpkeep calls it every few seconds. More says that there is more to do.
func (s *Store) Maintain(ctx context.Context, budget time.Duration) (more bool, err error) {
	return ask(ctx, s, reads, func(handle *C.tokenstore_store) (bool, error) {
		wait, err := milliseconds(budget, "the budget")
		if err != nil {
			return false, err
		}
		var more C.int32_t
		var object *C.tokenstore_error
		status := C.tokenstore_maintain(handle, wait, &more, &object)
		return more != 0, failure(status, object)
	}, nil)
}

// Resealed is what one call of Reseal did.
type Resealed struct {
	Resealed uint64 // records that were under another key
	Kept     uint64 // under the active key already
	Refused  uint64 // not genuine: left as they are, for Check to name
	Next     string // the cursor of the next call; empty: all of the workspace is done
}

// Reseal seals records anew under the active key, in slices, for about the budget (0: 1 s), while the store is in use. The
// cursor is empty at first, then Next of the call before: it may be kept, and used by another process.
func (s *Store) Reseal(ctx context.Context, actor Actor, cursor string, budget time.Duration) (Resealed, error) {
	return ask(ctx, s, changes, func(handle *C.tokenstore_store) (Resealed, error) {
		wait, err := milliseconds(budget, "the budget")
		if err != nil {
			return Resealed{}, err
		}
		var a arena
		defer a.free()
		text, size := a.text(cursor)
		summary := C.tokenstore_reseal_summary{struct_size: C.sizeof_tokenstore_reseal_summary}
		var object *C.tokenstore_error
		status := C.tokenstore_reseal(handle, a.actor(actor), text, size, wait, &summary, &object)
		return Resealed{Resealed: uint64(summary.resealed), Kept: uint64(summary.kept), Refused: uint64(summary.refused),
			Next: taken(&summary.next[0], summary.next_size)}, failure(status, object)
	}, nil)
}

// Healed is what Heal put forward again from the journal.
type Healed struct {
	LookedAt uint64 // lines of the journal that tell of a record's latest state
	Ended    uint64 // tokens that have ended again, or end again when they were to
	Removed  uint64 // tokens that had been deleted, and are deleted again
	Settings uint64 // owners and the workspace
	Refused  uint64 // left as they are: not genuine, which denies them, or changed by others all the time
}

// Heal puts forward again what storage shows in an earlier state than the journal knows. Opening and upkeep do it by
// themselves; until then such records are denied.
func (s *Store) Heal(ctx context.Context, actor Actor) (Healed, error) {
	return ask(ctx, s, changes, func(handle *C.tokenstore_store) (Healed, error) {
		var a arena
		defer a.free()
		summary := C.tokenstore_heal_summary{struct_size: C.sizeof_tokenstore_heal_summary}
		var object *C.tokenstore_error
		status := C.tokenstore_heal(handle, a.actor(actor), nil, nil, &summary, &object)
		return Healed{LookedAt: uint64(summary.looked_at), Ended: uint64(summary.ended), Removed: uint64(summary.removed),
			Settings: uint64(summary.settings), Refused: uint64(summary.refused)}, failure(status, object)
	}, nil)
}

// KeyUsage is what hangs on a key of the keyring. A key can be taken out when both are 0 in every workspace.
type KeyUsage struct {
	KeyID        string
	Seals        uint64 // genuine records of the workspace that it sealed
	LivingTokens uint64 // tokens of its own that have not ended: they end with it
}

// Report is what Check found.
type Report struct {
	Tokens   uint64 // records read
	Owners   uint64
	Problems uint64   // 0: all is well
	Lines    []string // one for each of the first 1000 problems
	Keys     []KeyUsage
}

// Check verifies every seal of the workspace and the storage's own integrity. It may take long. Problems are not a
// failure: read the report.
func (s *Store) Check(ctx context.Context, actor Actor) (Report, error) {
	return ask(ctx, s, reads, func(handle *C.tokenstore_store) (Report, error) {
		var a arena
		defer a.free()
		var report *C.tokenstore_check_report
		var object *C.tokenstore_error
		status := C.tokenstore_check(handle, a.actor(actor), nil, nil, &report, &object)
		defer C.tokenstore_check_report_free(report)
		if err := failure(status, object); err != nil {
			return Report{}, err
		}
		return readReport(report)
	}, nil)
}

func readReport(report *C.tokenstore_check_report) (Report, error) {
	summary := C.tokenstore_check_summary{struct_size: C.sizeof_tokenstore_check_summary}
	var object *C.tokenstore_error
	if err := failure(C.tokenstore_check_report_read(report, &summary, &object), object); err != nil {
		return Report{}, err
	}
	read := Report{Tokens: uint64(summary.tokens), Owners: uint64(summary.owners), Problems: uint64(summary.problems)}
	for i := C.size_t(0); i < C.size_t(summary.problems_noted); i++ {
		var size C.size_t
		line := C.tokenstore_check_report_problem(report, i, &size)
		read.Lines = append(read.Lines, taken(line, size))
	}
	for i := C.size_t(0); ; i++ {
		usage := C.tokenstore_key_usage{struct_size: C.sizeof_tokenstore_key_usage}
		status := C.tokenstore_check_report_key(report, i, &usage, &object)
		if status == C.TOKENSTORE_NOT_FOUND {
			C.tokenstore_error_free(object)
			return read, nil
		}
		if err := failure(status, object); err != nil {
			return Report{}, err
		}
		read.Keys = append(read.Keys, KeyUsage{KeyID: taken(usage.key_id, usage.key_id_size), Seals: uint64(usage.seals),
			LivingTokens: uint64(usage.living_tokens)})
	}
}

// Statistics counts what a store did since it was opened, in this process.
type Statistics struct {
	Hits           uint64 // validations answered from the cache
	Misses         uint64 // validations that asked storage
	NegativeHits   uint64 // tokens known to be gone, answered from the cache
	Malformed      uint64
	Forged         uint64
	Unavailable    uint64
	CatchUps       uint64 // times the change feed was read
	DroppedAll     uint64 // catch-ups that had to forget everything
	Evictions      uint64
	UsesWritten    uint64
	CachedTokens   uint64
	CacheBytes     uint64 // memory the cache holds now
	NotKeptBusy    uint64 // answers not kept, because somebody else was filling the cache,
	NotKeptChanged uint64 // something had changed meanwhile,
	NotKeptNoRoom  uint64 // or nothing could make room for them
	FeedMismatches uint64 // catch-ups that met a change feed which does not fit what was read of it before
	KeysTaken      uint64 // times that others came into use in place of the keys
	KeysRefused    uint64 // times that the source of the keys gave none that could be taken
	RolledBack     uint64 // denied or refused, because a record is an earlier state than the journal knows
	Healed         uint64 // records that were put forward again from the journal
}

// Statistics reads the counters.
func (s *Store) Statistics() (Statistics, error) {
	return ask(context.Background(), s, reads, func(handle *C.tokenstore_store) (Statistics, error) {
		c := C.tokenstore_statistics{struct_size: C.sizeof_tokenstore_statistics}
		var object *C.tokenstore_error
		status := C.tokenstore_read_statistics(handle, &c, &object)
		return Statistics{
			Hits: uint64(c.hits), Misses: uint64(c.misses), NegativeHits: uint64(c.negative_hits),
			Malformed: uint64(c.malformed), Forged: uint64(c.forged), Unavailable: uint64(c.unavailable),
			CatchUps: uint64(c.catch_ups), DroppedAll: uint64(c.dropped_all), Evictions: uint64(c.evictions),
			UsesWritten: uint64(c.uses_written), CachedTokens: uint64(c.cached_tokens), CacheBytes: uint64(c.cache_bytes),
			NotKeptBusy: uint64(c.not_kept_busy), NotKeptChanged: uint64(c.not_kept_changed),
			NotKeptNoRoom: uint64(c.not_kept_no_room), FeedMismatches: uint64(c.feed_mismatches),
			KeysTaken: uint64(c.keys_taken), KeysRefused: uint64(c.keys_refused),
			RolledBack: uint64(c.rolled_back), Healed: uint64(c.healed),
		}, failure(status, object)
	}, nil)
}

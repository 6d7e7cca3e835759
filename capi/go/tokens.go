package tokenstore

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"strings"
	"time"
	"unsafe"
)

// Limits of the model.
const (
	TokenTextMax   = C.TOKENSTORE_TOKEN_TEXT_MAX  // bytes of the longest token text
	IDSize         = C.TOKENSTORE_ID_SIZE         // bytes of a token id
	OwnerMax       = C.TOKENSTORE_OWNER_MAX       // bytes; no control characters. Workspaces the same
	DescriptionMax = C.TOKENSTORE_DESCRIPTION_MAX // bytes; no control characters. Reasons the same
	MetadataMax    = C.TOKENSTORE_METADATA_MAX    // bytes of any kind
	ScopesMax      = C.TOKENSTORE_SCOPES_MAX      // scopes of one token
	ScopeMax       = C.TOKENSTORE_SCOPE_MAX       // bytes of one scope: RFC 6749 section 3.3 scope-token
	PageMax        = C.TOKENSTORE_PAGE_MAX        // entries of one page
)

// Actor is who asks: your decision. The zero Actor may do nothing.
type Actor struct {
	kind C.int32_t
	name string
}

// User sees and acts on their own tokens only.
func User(name string) Actor { return Actor{C.TOKENSTORE_ACTOR_USER, name} }

// Administrator lists and ends anyone's tokens and sets policy, but issues for themselves only.
func Administrator(name string) Actor { return Actor{C.TOKENSTORE_ACTOR_ADMINISTRATOR, name} }

// Host may do all.
func Host() Actor { return Actor{C.TOKENSTORE_ACTOR_HOST, ""} }

// String is as in CreatedBy: "user:alice", "administrator:root" or "host".
func (a Actor) String() string {
	switch a.kind {
	case C.TOKENSTORE_ACTOR_USER:
		return "user:" + a.name
	case C.TOKENSTORE_ACTOR_ADMINISTRATOR:
		return "administrator:" + a.name
	case C.TOKENSTORE_ACTOR_HOST:
		return "host"
	}
	return "nobody"
}

func (a *arena) actor(given Actor) *C.tokenstore_actor {
	actor := (*C.tokenstore_actor)(a.allocate(int(C.sizeof_tokenstore_actor)))
	actor.struct_size = C.sizeof_tokenstore_actor
	actor.kind = given.kind
	actor.name, actor.name_size = a.text(given.name)
	return actor
}

// State of a token: revoked, else expired, else pending, else active.
type State int32

// The states. The zero State means any, in a Query.
const (
	StateActive   State = C.TOKENSTORE_STATE_ACTIVE
	StatePending  State = C.TOKENSTORE_STATE_PENDING // its NotBefore lies ahead
	StateExpired  State = C.TOKENSTORE_STATE_EXPIRED
	StateRevoked  State = C.TOKENSTORE_STATE_REVOKED
	StateTampered State = C.TOKENSTORE_STATE_TAMPERED // its seal does not verify: nothing but the id can be believed
)

// String is the name for logs, as in "active".
func (s State) String() string { return C.GoString(C.tokenstore_state_name(C.int32_t(s))) }

// Token is what lists and logs may show of a token.
type Token struct {
	ID           string
	Owner        string
	Description  string
	Scopes       []string // sorted; none grant nothing
	Metadata     []byte
	CreatedBy    string // "user:alice", "administrator:root" or "host"
	RevokedBy    string // the same
	RevokeReason string
	LastUsedFrom string // client address; empty: not known
	CreatedAt    time.Time
	NotBefore    time.Time // CreatedAt if none was asked for
	ExpiresAt    time.Time // zero: never, of a token that there is
	RevokedAt    time.Time // zero: not revoked
	LastUsedAt   time.Time // zero: not used yet
	State        State
}

// Request is what to issue.
type Request struct {
	Owner       string // empty: the actor's own name
	Description string
	Scopes      []string      // none grant nothing
	Metadata    []byte        // handed back by Validate
	Lifetime    time.Duration // from now; 0: the policy's default; Never if policy allows it
	NotBefore   time.Time     // zero: valid at once
}

// Issued is a new token, with the only copy of its text that there will ever be.
type Issued struct {
	Secret Secret
	Token  Token
}

func (a *arena) request(actor Actor, given Request, into *C.tokenstore_issue_request) (err error) {
	owner := given.Owner
	if owner == "" {
		owner = actor.name
	}
	for _, scope := range given.Scopes {
		if scope == "" || strings.Contains(scope, " ") {
			return invalid("a scope is empty or holds a space: give each as an element of its own")
		}
	}
	into.struct_size = C.sizeof_tokenstore_issue_request
	into.owner, into.owner_size = a.text(owner)
	into.description, into.description_size = a.text(given.Description)
	into.scopes, into.scopes_size = a.text(strings.Join(given.Scopes, " "))
	metadata, size := a.bytes(given.Metadata)
	into.metadata, into.metadata_size = (*C.char)(metadata), size
	into.lifetime_ms, err = lifetime(given.Lifetime, "the lifetime")
	into.not_before = instant(given.NotBefore)
	return err
}

func wipe(issued []Issued) {
	for _, one := range issued {
		one.Secret.Wipe()
	}
}

// Issue makes a token. If the context ends meanwhile, the text is lost with it: a token that was issued all the same is in
// the list, and nobody can use it.
func (s *Store) Issue(ctx context.Context, actor Actor, request Request) (Issued, error) {
	issued, err := s.issue(ctx, actor, []Request{request}, false)
	if err != nil {
		return Issued{}, err
	}
	return issued[0], nil
}

// IssueMany makes tokens, all or none, in one transaction.
func (s *Store) IssueMany(ctx context.Context, actor Actor, requests []Request) ([]Issued, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	return s.issue(ctx, actor, append([]Request(nil), requests...), true)
}

func (s *Store) issue(ctx context.Context, actor Actor, requests []Request, many bool) ([]Issued, error) {
	return ask(ctx, s, changes, func(handle *C.tokenstore_store) ([]Issued, error) {
		var a arena
		defer a.free()
		count := len(requests)
		array := (*C.tokenstore_issue_request)(a.allocate(count * int(C.sizeof_tokenstore_issue_request)))
		for i, wanted := range unsafe.Slice(array, count) {
			wanted = C.tokenstore_issue_request{}
			if err := a.request(actor, requests[i], &wanted); err != nil {
				return nil, err
			}
			unsafe.Slice(array, count)[i] = wanted
		}
		const room = C.TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE
		texts := (*C.char)(a.allocate(count * room))
		var textSize C.size_t
		var object *C.tokenstore_error
		var tokens []Token
		if many {
			var page *C.tokenstore_page
			status := C.tokenstore_issue_many(handle, a.actor(actor), array, C.size_t(count), texts, room, &textSize, &page, &object)
			defer C.tokenstore_page_free(page)
			if err := failure(status, object); err != nil {
				return nil, err
			}
			var err error
			if tokens, err = readPage(page); err != nil {
				return nil, err
			}
		} else {
			var token *C.tokenstore_token
			status := C.tokenstore_issue(handle, a.actor(actor), array, texts, room, &textSize, &token, &object)
			defer C.tokenstore_token_free(token)
			if err := failure(status, object); err != nil {
				return nil, err
			}
			read, err := readToken(token)
			if err != nil {
				return nil, err
			}
			tokens = []Token{read}
		}
		issued := make([]Issued, count)
		all := unsafe.Slice((*byte)(unsafe.Pointer(texts)), count*room)
		for i := range issued {
			// One copy, of the right size: an append that grows would leave others behind.
			text := make([]byte, int(textSize))
			copy(text, all[i*room:])
			issued[i] = Issued{Secret: newSecret(text), Token: tokens[i]}
		}
		return issued, nil
	}, wipe)
}

func tokenOf(info *C.tokenstore_token_info) Token {
	return Token{
		ID:           taken(info.id, info.id_size),
		Owner:        taken(info.owner, info.owner_size),
		Description:  taken(info.description, info.description_size),
		Scopes:       split(taken(info.scopes, info.scopes_size)),
		Metadata:     takenBytes(info.metadata, info.metadata_size),
		CreatedBy:    taken(info.created_by, info.created_by_size),
		RevokedBy:    taken(info.revoked_by, info.revoked_by_size),
		RevokeReason: taken(info.revoke_reason, info.revoke_reason_size),
		LastUsedFrom: taken(info.last_used_from, info.last_used_from_size),
		CreatedAt:    moment(info.created_at),
		NotBefore:    moment(info.not_before),
		ExpiresAt:    moment(info.expires_at),
		RevokedAt:    moment(info.revoked_at),
		LastUsedAt:   moment(info.last_used_at),
		State:        State(info.state),
	}
}

// readInfo lets read fill in a token_info of C's memory, because what it points to is C's, too.
func readInfo(read func(*C.tokenstore_token_info, **C.tokenstore_error) C.int32_t) (Token, error) {
	info := C.tokenstore_token_info{struct_size: C.sizeof_tokenstore_token_info}
	var object *C.tokenstore_error
	if err := failure(read(&info, &object), object); err != nil {
		return Token{}, err
	}
	return tokenOf(&info), nil
}

func readToken(token *C.tokenstore_token) (Token, error) {
	return readInfo(func(info *C.tokenstore_token_info, object **C.tokenstore_error) C.int32_t {
		return C.tokenstore_token_read(token, info, object)
	})
}

// onToken is a call that names a token and answers it.
func (s *Store) onToken(ctx context.Context, does effect, actor Actor, id string,
	call func(*C.tokenstore_store, *arena, *C.tokenstore_actor, *C.char, C.size_t, **C.tokenstore_token, **C.tokenstore_error) C.int32_t) (Token, error) {
	return ask(ctx, s, does, func(handle *C.tokenstore_store) (Token, error) {
		var a arena
		defer a.free()
		name, size := a.text(id)
		var token *C.tokenstore_token
		var object *C.tokenstore_error
		status := call(handle, &a, a.actor(actor), name, size, &token, &object)
		defer C.tokenstore_token_free(token)
		if err := failure(status, object); err != nil {
			return Token{}, err
		}
		return readToken(token)
	}, nil)
}

// Get looks up a token by its id. A user gets ErrNotFound for another's.
func (s *Store) Get(ctx context.Context, actor Actor, id string) (Token, error) {
	return s.onToken(ctx, reads, actor, id, func(handle *C.tokenstore_store, _ *arena, actor *C.tokenstore_actor,
		name *C.char, size C.size_t, token **C.tokenstore_token, object **C.tokenstore_error) C.int32_t {
		return C.tokenstore_get(handle, actor, name, size, token, object)
	})
}

// Expire brings the end of a token forward; the zero time, or one gone by, is now. Never later: that is
// ErrInvalidArgument. A token that has ended stays as it is.
func (s *Store) Expire(ctx context.Context, actor Actor, id string, at time.Time) (Token, error) {
	return s.onToken(ctx, changes, actor, id, func(handle *C.tokenstore_store, _ *arena, actor *C.tokenstore_actor,
		name *C.char, size C.size_t, token **C.tokenstore_token, object **C.tokenstore_error) C.int32_t {
		return C.tokenstore_expire(handle, actor, name, size, instant(at), token, object)
	})
}

// Revoke ends a token for good; its record stays. Repeating it changes nothing.
func (s *Store) Revoke(ctx context.Context, actor Actor, id, reason string) (Token, error) {
	return s.onToken(ctx, changes, actor, id, func(handle *C.tokenstore_store, a *arena, actor *C.tokenstore_actor,
		name *C.char, size C.size_t, token **C.tokenstore_token, object **C.tokenstore_error) C.int32_t {
		why, whySize := a.text(reason)
		return C.tokenstore_revoke(handle, actor, name, size, why, whySize, token, object)
	})
}

// RevokeAll revokes every token of an owner that has not ended, and says how many; an issue under way is refused. It
// works in steps: after an error some may be revoked already, so call it again.
func (s *Store) RevokeAll(ctx context.Context, actor Actor, owner, reason string) (uint64, error) {
	return ask(ctx, s, changes, func(handle *C.tokenstore_store) (uint64, error) {
		var a arena
		defer a.free()
		name, size := a.text(owner)
		why, whySize := a.text(reason)
		var revoked C.uint64_t
		var object *C.tokenstore_error
		status := C.tokenstore_revoke_all(handle, a.actor(actor), name, size, why, whySize, &revoked, &object)
		return uint64(revoked), failure(status, object)
	}, nil)
}

// Delete deletes a token's record. It cannot be undone, and is ErrNotFound the second time.
func (s *Store) Delete(ctx context.Context, actor Actor, id string) error {
	return do(ctx, s, changes, func(handle *C.tokenstore_store) error {
		var a arena
		defer a.free()
		name, size := a.text(id)
		var object *C.tokenstore_error
		return failure(C.tokenstore_delete(handle, a.actor(actor), name, size, &object), object)
	})
}

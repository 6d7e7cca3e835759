package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"tokenstore.example/tokenstore"
)

// accounts are the hashes of the passwords by name.
type accounts map[string][sha256.Size]byte

func readAccounts(path string) (accounts, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the accounts cannot be read: %w", err)
	}
	defer file.Close()
	people := accounts{}
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		name, password, found := strings.Cut(lines.Text(), ":")
		if !found || name == "" || password == "" {
			return nil, fmt.Errorf("line %d of the accounts is not name:password", number)
		}
		people[name] = sha256.Sum256([]byte(password))
	}
	return people, lines.Err()
}

// actor is who manages tokens by this request.
func (a accounts) actor(r *http.Request) (tokenstore.Actor, bool) {
	name, password, _ := r.BasicAuth()
	wanted, known := a[name]
	given := sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(given[:], wanted[:]) != 1 || !known {
		return tokenstore.Actor{}, false
	}
	return tokenstore.User(name), true
}

type service struct {
	store  *tokenstore.Store
	people accounts
	mutex  sync.Mutex
	notes  map[string][]string
}

func newHandler(store *tokenstore.Store, people accounts) http.Handler {
	s := &service{store: store, people: people, notes: map[string][]string{}}
	guard := tokenstore.Guard{Realm: "notes", Denied: func(r *http.Request, verdict tokenstore.Verdict, err error) {
		// The reason is for this log, and never for the client.
		log.Printf("denied %s %s: token %q, %v, %v", r.Method, r.URL.Path, verdict.TokenID(), verdict.Reason(), err)
	}}
	mux := http.NewServeMux()
	read := guard.Require(store, "notes:read")(http.HandlerFunc(s.readNotes))
	write := guard.Require(store, "notes:write")(http.HandlerFunc(s.writeNote))
	mux.Handle("/notes", byMethod{"GET": read, "POST": write})
	mux.Handle("/tokens", byMethod{"GET": s.signedIn(s.listTokens), "POST": s.signedIn(s.issueToken)})
	mux.Handle("/tokens/", byMethod{"DELETE": s.signedIn(s.revokeToken)})
	return mux
}

// byMethod is a route whose handlers differ by method.
type byMethod map[string]http.Handler

func (b byMethod) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler, known := b[r.Method]; known {
		handler.ServeHTTP(w, r)
		return
	}
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
}

func (s *service) readNotes(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	answer(w, http.StatusOK, map[string]any{"notes": append([]string{}, s.notes[tokenstore.VerdictFrom(r.Context()).Owner()]...)})
}

func (s *service) writeNote(w http.ResponseWriter, r *http.Request) {
	var given struct{ Text string }
	if !understood(w, r, &given) {
		return
	}
	owner := tokenstore.VerdictFrom(r.Context()).Owner()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.notes[owner] = append(s.notes[owner], given.Text)
	answer(w, http.StatusCreated, map[string]any{"text": given.Text})
}

// signedIn asks people, not programs, who they are.
func (s *service) signedIn(next func(http.ResponseWriter, *http.Request, tokenstore.Actor)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		actor, known := s.people.actor(r)
		if !known {
			w.Header().Set("WWW-Authenticate", `Basic realm="notes", charset="UTF-8"`)
			http.Error(w, "sign in", http.StatusUnauthorized)
			return
		}
		next(w, r, actor)
	})
}

func (s *service) issueToken(w http.ResponseWriter, r *http.Request, actor tokenstore.Actor) {
	var given struct {
		Description string
		Scopes      []string
		Days        int
	}
	if !understood(w, r, &given) {
		return
	}
	issued, err := s.store.Issue(r.Context(), actor, tokenstore.Request{Description: given.Description, Scopes: given.Scopes,
		Lifetime: time.Duration(given.Days) * 24 * time.Hour})
	if err != nil {
		refuse(w, err)
		return
	}
	defer issued.Secret.Wipe()
	// The only answer that ever has the text in it.
	w.Header().Set("Cache-Control", "no-store")
	answer(w, http.StatusCreated, map[string]any{"token": issued.Secret.Reveal(), "id": issued.Token.ID,
		"expires": issued.Token.ExpiresAt})
}

func (s *service) listTokens(w http.ResponseWriter, r *http.Request, actor tokenstore.Actor) {
	type shown struct {
		ID          string    `json:"id"`
		Description string    `json:"description"`
		Scopes      []string  `json:"scopes"`
		State       string    `json:"state"`
		LastUsed    time.Time `json:"lastUsed"`
	}
	list := []shown{}
	tokens := s.store.Tokens(r.Context(), actor, tokenstore.Query{})
	for tokens.Next() {
		token := tokens.Entry()
		list = append(list, shown{token.ID, token.Description, token.Scopes, token.State.String(), token.LastUsedAt})
	}
	if err := tokens.Err(); err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"tokens": list})
}

func (s *service) revokeToken(w http.ResponseWriter, r *http.Request, actor tokenstore.Actor) {
	id := strings.TrimPrefix(r.URL.Path, "/tokens/")
	if _, err := s.store.Revoke(r.Context(), actor, id, "revoked by its owner"); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func understood(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		http.Error(w, "the body is not the JSON that this route takes", http.StatusBadRequest)
		return false
	}
	return true
}

// refuse answers an error of the library: its line is for people, and holds no secret.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	for target, code := range map[error]int{
		tokenstore.ErrInvalidArgument:  http.StatusBadRequest,
		tokenstore.ErrPermissionDenied: http.StatusForbidden,
		tokenstore.ErrRefused:          http.StatusForbidden,
		tokenstore.ErrNotFound:         http.StatusNotFound,
		tokenstore.ErrConflict:         http.StatusConflict,
		tokenstore.ErrUnavailable:      http.StatusServiceUnavailable,
		tokenstore.ErrStorageFull:      http.StatusServiceUnavailable,
	} {
		if errors.Is(err, target) {
			status = code
		}
	}
	http.Error(w, err.Error(), status)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

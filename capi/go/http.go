package tokenstore

import (
	"context"
	"net"
	"net/http"
	"strings"
)

// Guard is how Require answers. The zero Guard is right for a server that clients reach directly.
type Guard struct {
	// Realm is what a challenge names; empty: none.
	Realm string
	// ClientAddress is where a request comes from, for "last used from"; nil: the peer's address. A server behind a proxy
	// takes it from the header that its proxy sets.
	ClientAddress func(*http.Request) string
	// Denied is told of each request that is not let through, for the audit log. It must not write to clients what it sees.
	Denied func(r *http.Request, verdict Verdict, err error)
	// Answer writes the body of a denial, after the status and the headers are set; nil: a short text.
	Answer func(w http.ResponseWriter, r *http.Request, status int)
}

// Require lets requests through whose bearer token (RFC 6750: the Authorization header and no other place) is valid for
// every one of these scopes. At least one is required: there is no "just authenticate".
//
//	mux.Handle("/notes", tokenstore.Require(store, "notes:read")(notes))
//
// Others are answered 401 with a challenge, 403 if a scope was missing, and 503 if storage could not be asked. The verdict of
// a request that is let through is in its context: see VerdictFrom.
func Require(store *Store, scopes ...string) func(http.Handler) http.Handler {
	return Guard{}.Require(store, scopes...)
}

// Require is as the function of this name, with this guard's settings.
func (g Guard) Require(store *Store, scopes ...string) func(http.Handler) http.Handler {
	if len(scopes) == 0 {
		panic("tokenstore: Require needs a scope: a route that needs none is not to be guarded")
	}
	for _, scope := range scopes {
		if scope == "" || strings.ContainsAny(scope, " \"\\") {
			panic("tokenstore: a scope of Require is empty, or holds a space or a quote")
		}
	}
	required := append([]string(nil), scopes...)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			verdict, problem, err := g.judge(store, r, required)
			if problem != accepted {
				g.deny(w, r, required, problem, verdict, err)
				verdict.Release()
				return
			}
			// Whoever keeps the context for longer than the request finds an empty verdict in it.
			defer verdict.Release()
			next.ServeHTTP(w, r.WithContext(ContextWith(r.Context(), verdict)))
		})
	}
}

type problem int

const (
	accepted problem = iota
	noToken
	twoTokens
	badToken
	missingScope
	noStorage
)

func (g Guard) judge(store *Store, r *http.Request, scopes []string) (Verdict, problem, error) {
	text, what := bearer(r.Header)
	if what != accepted {
		return Verdict{}, what, nil
	}
	address := ""
	if g.ClientAddress != nil {
		address = g.ClientAddress(r)
	} else if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		address = host
	}
	verdict, err := store.Validate(r.Context(), text, Demand{Scope: scopes[0], ClientAddress: address})
	for _, scope := range scopes[1:] {
		if !verdict.Valid() {
			break
		}
		verdict.Release()
		verdict, err = store.Validate(r.Context(), text, Demand{Scope: scope, ClientAddress: address})
	}
	switch {
	case verdict.Valid():
		return verdict, accepted, nil
	case verdict.Outcome() == Unavailable:
		return verdict, noStorage, err
	case verdict.Reason() == InsufficientScope:
		return verdict, missingScope, nil
	}
	return verdict, badToken, nil
}

// bearer is the token of the one Authorization header.
func bearer(header http.Header) (string, problem) {
	values := header["Authorization"]
	if len(values) == 0 {
		return "", noToken
	}
	if len(values) > 1 {
		return "", twoTokens
	}
	const scheme = "bearer "
	value := values[0]
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", noToken
	}
	return strings.TrimLeft(value[len(scheme):], " "), accepted
}

// deny answers as RFC 6750 section 3 says: no reason but a missing scope is told.
func (g Guard) deny(w http.ResponseWriter, r *http.Request, scopes []string, what problem, verdict Verdict, err error) {
	if g.Denied != nil {
		g.Denied(r, verdict, err)
	}
	status, parameters := http.StatusUnauthorized, []string(nil)
	switch what {
	case twoTokens:
		status, parameters = http.StatusBadRequest, []string{`error="invalid_request"`}
	case badToken:
		parameters = []string{`error="invalid_token"`}
	case missingScope:
		status = http.StatusForbidden
		parameters = []string{`error="insufficient_scope"`, `scope="` + strings.Join(scopes, " ") + `"`}
	case noStorage:
		status = http.StatusServiceUnavailable
	}
	if what == noStorage {
		w.Header().Set("Retry-After", "1")
	} else {
		if g.Realm != "" {
			quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(g.Realm)
			parameters = append([]string{`realm="` + quoted + `"`}, parameters...)
		}
		w.Header().Set("WWW-Authenticate", strings.TrimRight("Bearer "+strings.Join(parameters, ", "), " "))
	}
	w.Header().Set("Cache-Control", "no-store")
	if g.Answer == nil {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.WriteHeader(status)
	g.Answer(w, r, status)
}

type contextKey struct{}

// ContextWith is the context with a verdict in it, for frameworks that Require does not fit.
func ContextWith(ctx context.Context, verdict Verdict) context.Context {
	return context.WithValue(ctx, contextKey{}, verdict)
}

// VerdictFrom is the verdict that Require, or ContextWith, put into the context; the zero Verdict, which is not valid, if
// there is none. It lasts as long as the request.
func VerdictFrom(ctx context.Context) Verdict {
	verdict, _ := ctx.Value(contextKey{}).(Verdict)
	return verdict
}

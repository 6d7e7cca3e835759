package tokenstore_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/tokenstoretest"
)

func TestAGuardedRouteAnswersAsRFC6750Says(t *testing.T) {
	store := tokenstoretest.New(t)
	good, narrow := store.Token("alice", "notes:read", "notes:write"), store.Token("bob", "notes:read")
	revoked := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"notes:read", "notes:write"}})
	if _, err := store.Revoke(ctx, tokenstore.Host(), revoked.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	var denials []string
	guard := tokenstore.Guard{Realm: `no"tes`, Denied: func(_ *http.Request, verdict tokenstore.Verdict, err error) {
		denials = append(denials, verdict.Reason().String())
		if strings.Contains(verdict.Reason().String(), "storage") != (err != nil) && err != nil {
			t.Errorf("%v with %v", verdict.Reason(), err)
		}
	}}
	served := 0
	var kept context.Context
	route := guard.Require(store.Store, "notes:read", "notes:write")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		kept = r.Context()
		_, _ = w.Write([]byte(tokenstore.VerdictFrom(r.Context()).Owner()))
	}))
	const realm = `realm="no\"tes"`
	for _, c := range []struct {
		name      string
		headers   []string
		status    int
		challenge string
	}{
		{"valid", []string{"Bearer " + good}, 200, ""},
		{"another spelling", []string{"bEARER   " + good}, 200, ""},
		{"nothing", nil, 401, "Bearer " + realm},
		{"another scheme", []string{"Basic " + good}, 401, "Bearer " + realm},
		{"no space", []string{"Bearer" + good}, 401, "Bearer " + realm},
		{"an empty one", []string{"Bearer "}, 401, "Bearer " + realm + `, error="invalid_token"`},
		{"no token", []string{"Bearer x"}, 401, "Bearer " + realm + `, error="invalid_token"`},
		{"a space behind", []string{"Bearer " + good + " "}, 401, "Bearer " + realm + `, error="invalid_token"`},
		{"revoked", []string{"Bearer " + revoked.Secret.Reveal()}, 401, "Bearer " + realm + `, error="invalid_token"`},
		{"one of two scopes", []string{"Bearer " + narrow}, 403,
			"Bearer " + realm + `, error="insufficient_scope", scope="notes:read notes:write"`},
		{"two headers", []string{"Bearer " + good, "Bearer " + good}, 400, "Bearer " + realm + `, error="invalid_request"`},
	} {
		request := httptest.NewRequest("GET", "/notes?access_token="+good, nil)
		for _, header := range c.headers {
			request.Header.Add("Authorization", header)
		}
		before := served
		answer := httptest.NewRecorder()
		route.ServeHTTP(answer, request)
		if answer.Code != c.status || answer.Header().Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: %d %q", c.name, answer.Code, answer.Header().Get("WWW-Authenticate"))
		}
		if (served > before) != (c.status == 200) || (c.status == 200) != (answer.Body.String() == "alice") {
			t.Errorf("%s: served, or not: %q", c.name, answer.Body)
		}
		if c.status != 200 && (answer.Header().Get("Cache-Control") != "no-store" || leaks(answer.Body.String(), secretIn(good))) {
			t.Errorf("%s: %v %q", c.name, answer.Header(), answer.Body)
		}
	}
	if len(denials) != 9 {
		t.Errorf("the log has %v", denials)
	}
	// A handler's goroutine that goes on after the answer finds nothing of the next request's.
	if verdict := tokenstore.VerdictFrom(kept); verdict.Valid() || verdict.Owner() != "" {
		t.Error("a verdict outlives its request")
	}

	seen, err := store.List(ctx, tokenstore.Host(), tokenstore.Query{Owner: "alice", State: tokenstore.StateActive})
	if err != nil || seen.Tokens[0].LastUsedFrom != "192.0.2.1" {
		t.Errorf("last used from %q: %v", seen.Tokens[0].LastUsedFrom, err)
	}
}

func TestAGuardedRouteSaysWhenStorageCannotBeAsked(t *testing.T) {
	store := tokenstoretest.New(t)
	text := store.Token("alice", "notes:read")
	store.Storage.Fail()
	request := httptest.NewRequest("GET", "/notes", nil)
	request.Header.Set("Authorization", "Bearer "+text)
	told := false
	guard := tokenstore.Guard{
		ClientAddress: func(*http.Request) string { return "2001:db8::1" },
		Denied:        func(_ *http.Request, _ tokenstore.Verdict, err error) { told = err != nil },
		Answer: func(w http.ResponseWriter, _ *http.Request, status int) {
			_, _ = w.Write([]byte(http.StatusText(status) + "!"))
		},
	}
	answer := httptest.NewRecorder()
	guard.Require(store.Store, "notes:read")(http.NotFoundHandler()).ServeHTTP(answer, request)
	if answer.Code != 503 || answer.Header().Get("WWW-Authenticate") != "" || answer.Header().Get("Retry-After") == "" || !told ||
		answer.Body.String() != "Service Unavailable!" {
		t.Errorf("%d %v %q, told %v", answer.Code, answer.Header(), answer.Body, told)
	}
	_ = store.Close()
	answer = httptest.NewRecorder()
	tokenstore.Require(store.Store, "notes:read")(http.NotFoundHandler()).ServeHTTP(answer, request)
	if answer.Code != 503 {
		t.Errorf("a closed store answers %d", answer.Code)
	}
}

func TestARouteWithoutAScopeIsNotGuarded(t *testing.T) {
	store := openMemory(t)
	for _, scopes := range [][]string{nil, {""}, {"a", ""}, {"a b"}, {`a"b`}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is accepted", scopes)
				}
			}()
			tokenstore.Require(store, scopes...)
		}()
	}
}

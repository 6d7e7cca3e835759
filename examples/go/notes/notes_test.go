package main

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tokenstore.example/tokenstore/tokenstoretest"
)

// client asks the service over real HTTP.
type client struct {
	t    *testing.T
	base string
}

func (c client) ask(method, path, body string, prepare func(*http.Request)) (int, map[string]any) {
	c.t.Helper()
	request, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	prepare(request)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var answer map[string]any
	_ = json.Unmarshal(text, &answer)
	return response.StatusCode, answer
}

func (c client) want(status int, method, path, body string, prepare func(*http.Request)) map[string]any {
	c.t.Helper()
	got, answer := c.ask(method, path, body, prepare)
	if got != status {
		c.t.Errorf("%s %s: %d, not %d", method, path, got, status)
	}
	return answer
}

func as(name, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, password) }
}

func with(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func TestATokenIsIssuedUsedListedAndRevokedOverHTTP(t *testing.T) {
	store := tokenstoretest.New(t)
	people := accounts{"alice": sha256.Sum256([]byte("wonderland")), "bob": sha256.Sum256([]byte("builder"))}
	server := httptest.NewServer(newHandler(store.Store, people))
	defer server.Close()
	c := client{t, server.URL}
	alice, bob := as("alice", "wonderland"), as("bob", "builder")

	for _, nobody := range []func(*http.Request){func(*http.Request) {}, as("alice", "builder"), as("", ""), as("eve", "")} {
		c.want(401, "GET", "/tokens", "", nobody)
	}
	issued := c.want(201, "POST", "/tokens", `{"description": "laptop", "scopes": ["notes:read", "notes:write"], "days": 30}`, alice)
	token, id := issued["token"].(string), issued["id"].(string)
	reader := c.want(201, "POST", "/tokens", `{"scopes": ["notes:read"]}`, alice)["token"].(string)
	c.want(400, "POST", "/tokens", `{"scopes": ["a b"]}`, alice)
	c.want(400, "POST", "/tokens", `{"owner": "bob"}`, alice)
	c.want(403, "POST", "/tokens", `{"days": 10000}`, alice)

	c.want(201, "POST", "/notes", `{"text": "remember the milk"}`, with(token))
	c.want(403, "POST", "/notes", `{"text": "mine"}`, with(reader))
	c.want(401, "GET", "/notes", "", alice)
	if notes := c.want(200, "GET", "/notes", "", with(reader))["notes"].([]any); len(notes) != 1 || notes[0] != "remember the milk" {
		t.Errorf("the notes are %v", notes)
	}
	c.want(405, "PUT", "/notes", "", with(token))

	if tokens := c.want(200, "GET", "/tokens", "", alice)["tokens"].([]any); len(tokens) != 2 {
		t.Errorf("the tokens are %v", tokens)
	}
	if tokens := c.want(200, "GET", "/tokens", "", bob)["tokens"].([]any); len(tokens) != 0 {
		t.Errorf("bob sees %v", tokens)
	}
	c.want(404, "DELETE", "/tokens/"+id, "", bob)
	c.want(200, "GET", "/notes", "", with(token))
	c.want(204, "DELETE", "/tokens/"+id, "", alice)
	c.want(401, "GET", "/notes", "", with(token))

	store.Storage.Fail()
	fresh := reader[:len(reader)-1] + "x"
	c.want(401, "GET", "/notes", "", with(fresh))
	c.want(503, "GET", "/tokens", "", alice)
}

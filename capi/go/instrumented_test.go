//go:build asan

package tokenstore_test

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/internal/fortests"
)

const inside = "TOKENSTORE_DOES_WHAT_IS_WRONG"

// endOf a process of its own, which does what the same test has for it.
func endOf(t *testing.T) (said []byte, err error) {
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), inside+"=1", "ASAN_OPTIONS=")
	return child.CombinedOutput()
}

// The controls of the run under AddressSanitizer. What is wrong inside the C++ library itself is seen:
func TestTheLibraryIsInstrumented(t *testing.T) {
	if os.Getenv(inside) != "" {
		text := issue(t, openMemory(t), "alice", "notes:read").Secret.Reveal()
		// All texts are of the first one's length, it says.
		fortests.ValidateOften(openMemory(t), []string{text, text[:1]}, 2)
		return
	}
	said, err := endOf(t)
	seen := regexp.MustCompile(`(?m)^SUMMARY: AddressSanitizer: heap-buffer-overflow .* in tokenstore::`)
	if err == nil || !seen.Match(said) {
		t.Errorf("a process that reads too far ends with %v: %s", err, said)
	}
}

// And what the fuzz target asks for now and then sees what was lost, and not what is in use.
func TestALeakIsFoundWhileTheProcessLives(t *testing.T) {
	if os.Getenv(inside) == "" {
		said, err := endOf(t)
		if err == nil || !strings.Contains(string(said), "a leak was found") {
			t.Errorf("a process that loses keyrings ends with %v: %s", err, said)
		}
		return
	}
	used := openMemory(t)
	kept := exampleKeyring()
	if fortests.LeakFound() {
		t.Fatal("what is in use is called lost")
	}
	for i := 0; i < 1000; i++ {
		runtime.SetFinalizer(exampleKeyring(), nil)
	}
	// Memory of Go's that nobody uses still points to them, until it is used again.
	runtime.GC()
	for i := 0; i < 1000; i++ {
		sinks = append(sinks, &tokenstore.Keyring{})
	}
	if fortests.LeakFound() {
		t.Fatal("a leak was found")
	}
	closeTwice(t, used)
	closeTwice(t, kept)
}

var sinks []*tokenstore.Keyring

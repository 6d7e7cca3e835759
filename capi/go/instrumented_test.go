//go:build asan

package tokenstore_test

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"tokenstore.example/tokenstore/internal/fortests"
)

// The control of the run under AddressSanitizer: what is wrong inside the C++ library itself is seen. A process of its own reads
// too far there.
func TestTheLibraryIsInstrumented(t *testing.T) {
	const inside = "TOKENSTORE_READS_TOO_FAR"
	if os.Getenv(inside) != "" {
		text := issue(t, openMemory(t), "alice", "notes:read").Secret.Reveal()
		// All texts are of the first one's length, it says.
		fortests.ValidateOften(openMemory(t), []string{text, text[:1]}, 2)
		return
	}
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), inside+"=1", "ASAN_OPTIONS=")
	said, err := child.CombinedOutput()
	seen := regexp.MustCompile(`(?m)^SUMMARY: AddressSanitizer: heap-buffer-overflow .* in tokenstore::`)
	if err == nil || !seen.Match(said) {
		t.Errorf("a process that reads too far ends with %v: %s", err, said)
	}
}

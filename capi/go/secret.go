package tokenstore

import (
	"fmt"
	"io"
)

const redacted = "[redacted]"

// Secret is the text of a token, or of a key file. Whatever prints, logs or encodes it writes "[redacted]"; Reveal is the
// only way to it. Two are never equal. The zero Secret is empty.
type Secret struct {
	box *secretBox // a pointer, because fmt follows none that lie inside other values
}

type secretBox struct {
	text []byte
}

func newSecret(text []byte) Secret { return Secret{&secretBox{text}} }

// Reveal is the text itself. Give it to its owner and keep it nowhere.
func (s Secret) Reveal() string {
	if s.box == nil {
		return ""
	}
	return string(s.box.text)
}

// Wipe overwrites this copy of the text. What Reveal has returned is the caller's.
func (s Secret) Wipe() {
	if s.box == nil {
		return
	}
	for i := range s.box.text {
		s.box.text[i] = 0
	}
	s.box.text = s.box.text[:0]
}

// String is "[redacted]".
func (Secret) String() string { return redacted }

// GoString is "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalJSON is "[redacted]": a program that answers a token says Reveal.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText is "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

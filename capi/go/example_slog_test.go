//go:build go1.21

package tokenstore_test

import (
	"log/slog"
	"os"
)

func ExampleSecret_LogValue() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	logger.Info("issued", "secret", exampleSecret())
	// Output: level=INFO msg=issued secret=[redacted]
}

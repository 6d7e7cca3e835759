//go:build go1.21

package tokenstore

import "log/slog"

// LogValue is "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

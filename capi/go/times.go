package tokenstore

/*
#include "shim.h"
*/
import "C"

import "time"

// Never, said outright: a lifetime, or a policy's longest lifetime, without an end.
const Never time.Duration = -1

// lifetime in milliseconds. What is more than nothing never becomes nothing, which would mean the default.
func lifetime(given time.Duration, what string) (C.int64_t, error) {
	switch {
	case given == Never:
		return C.TOKENSTORE_NEVER, nil
	case given < 0:
		return 0, invalid("%s is negative: set a positive duration, 0 for the default, or Never", what)
	case given > 0 && given < time.Millisecond:
		return 1, nil
	}
	return C.int64_t(given.Milliseconds()), nil
}

// milliseconds of a setting for which 0 is the default.
func milliseconds(given time.Duration, what string) (C.int64_t, error) {
	if given < 0 {
		return 0, invalid("%s is negative: set a positive duration, or 0 for the default", what)
	}
	return lifetime(given, what)
}

func duration(milliseconds C.int64_t) time.Duration {
	const longest = int64(1<<63-1) / int64(time.Millisecond)
	if milliseconds == C.TOKENSTORE_NEVER {
		return Never
	}
	if int64(milliseconds) > longest {
		return 1<<63 - 1
	}
	return time.Duration(milliseconds) * time.Millisecond
}

// instant of a time, for which 0 is the zero time: all that lies before 1970 has gone by as well.
func instant(given time.Time) C.int64_t {
	if given.IsZero() || given.Before(time.UnixMilli(0)) {
		return 0
	}
	const latest = 253402300799999 // the end of the year 9999: later ones do not fit everywhere
	if given.After(time.UnixMilli(latest)) {
		return latest
	}
	return C.int64_t(given.UnixMilli())
}

// moment of a time for which 0, and never, are the zero time.
func moment(milliseconds C.int64_t) time.Time {
	if milliseconds <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(milliseconds)).UTC()
}

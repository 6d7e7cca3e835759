package faults_test

import (
	"testing"

	"tokenstore.example/faults"
)

func TestLeak(*testing.T) { faults.Leak() }

func TestReadFreed(*testing.T) { faults.ReadFreed() }

func TestNothing(*testing.T) {}

// FuzzLeak leaks in the process that the fuzzer starts, and not with its seeds.
func FuzzLeak(f *testing.F) {
	f.Add(0)
	f.Fuzz(func(_ *testing.T, number int) {
		if number != 0 {
			faults.Leak()
		}
	})
}

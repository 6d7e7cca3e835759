package faults_test

import (
	"testing"

	"tokenstore.example/faults"
)

func TestLeak(*testing.T) { faults.Leak() }

func TestReadFreed(*testing.T) { faults.ReadFreed() }

func TestNothing(*testing.T) {}

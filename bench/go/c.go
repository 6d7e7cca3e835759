package main

/*
static void nothing(void) {}
*/
import "C"

// emptyCall is what calling C costs by itself.
func emptyCall() { C.nothing() }

package tokenstore_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"

	"tokenstore.example/tokenstore"
)

func exampleSecret() (secret tokenstore.Secret) {
	store := example()
	defer store.Close()
	return exampleToken(store).Secret
}

func ExampleSecret_Reveal() {
	secret := exampleSecret()
	text := secret.Reveal() // shown once, to its owner
	fmt.Println(text[:4], len(text))
	// Output: pat_ 81
}

func ExampleSecret_Wipe() {
	secret := exampleSecret()
	secret.Wipe()
	fmt.Println(len(secret.Reveal()))
	// Output: 0
}

func ExampleSecret_String() {
	fmt.Println("issued " + exampleSecret().String())
	// Output: issued [redacted]
}

func ExampleSecret_GoString() {
	fmt.Printf("%#v\n", exampleSecret())
	// Output: [redacted]
}

func ExampleSecret_Format() {
	fmt.Printf("%s %q %x\n", exampleSecret(), exampleSecret(), exampleSecret())
	// Output: [redacted] [redacted] [redacted]
}

func ExampleSecret_MarshalJSON() {
	answer, err := json.Marshal(map[string]any{"token": exampleSecret()})
	fmt.Println(string(answer), err)
	// Output: {"token":"[redacted]"} <nil>
}

func ExampleSecret_MarshalText() {
	answer, err := xml.Marshal(exampleSecret())
	fmt.Println(string(answer), err)
	// Output: <Secret>[redacted]</Secret> <nil>
}

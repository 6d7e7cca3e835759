// Examples looks for exported functions and methods of packages without an example of their own: ExampleOpen of a function,
// ExampleStore_Issue of a method. It names them, and fails if there are any.
//
//	go run . FOLDER...
//
// Whether an example's name means something is what go vet looks at.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

func main() {
	log.SetFlags(0)
	found, missing := 0, 0
	for _, folder := range os.Args[1:] {
		calls, examples, err := read(folder)
		if err != nil {
			log.Fatal(err)
		}
		for _, call := range calls {
			if found++; !examples[call] {
				missing++
				fmt.Printf("%s: no Example%s\n", folder, call)
			}
		}
	}
	if found == 0 {
		log.Fatal("no exported function was found: name the folders of packages")
	}
	if missing > 0 {
		os.Exit(1)
	}
	fmt.Println(found, "exported functions and methods, each with an example")
}

// read the Go files of one folder, whatever their build tags: the names of what is exported, as in an example's, and the
// examples.
func read(folder string) (calls []string, examples map[string]bool, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	exported := map[string]bool{}
	examples = map[string]bool{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return nil, nil, err
		}
		for _, declared := range file.Decls {
			function, ok := declared.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if !strings.HasSuffix(path, "_test.go") {
				if name := exportedName(function); name != "" {
					exported[name] = true
				}
			} else if name := strings.TrimPrefix(function.Name.Name, "Example"); name != function.Name.Name {
				examples[withoutSuffix(name)] = true
			}
		}
	}
	for name := range exported {
		calls = append(calls, name)
	}
	sort.Strings(calls)
	return calls, examples, nil
}

// exportedName is F or T_M; empty if not both are exported.
func exportedName(function *ast.FuncDecl) string {
	if !function.Name.IsExported() {
		return ""
	}
	if function.Recv == nil {
		return function.Name.Name
	}
	receiver := function.Recv.List[0].Type
	for {
		switch wrapped := receiver.(type) {
		case *ast.StarExpr:
			receiver = wrapped.X
		case *ast.IndexExpr: // of a generic type
			receiver = wrapped.X
		case *ast.Ident:
			if !wrapped.IsExported() {
				return ""
			}
			return wrapped.Name + "_" + function.Name.Name
		default:
			return ""
		}
	}
}

// withoutSuffix takes the second example's suffix away, which begins with a small letter: Open_twice is of Open.
func withoutSuffix(name string) string {
	if at := strings.LastIndex(name, "_"); at > 0 && at+1 < len(name) && 'a' <= name[at+1] && name[at+1] <= 'z' {
		return name[:at]
	}
	return name
}

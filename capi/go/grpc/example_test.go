package tokengrpc_test

import (
	"context"
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tokenstore.example/tokenstore"
	tokengrpc "tokenstore.example/tokenstore/grpc"
)

// exampleCall is a call as a server gets it, with the token of alice that the store issues.
func exampleCall(store *tokenstore.Store, scopes ...string) context.Context {
	issued, err := store.Issue(context.Background(), tokenstore.User("alice"), tokenstore.Request{Scopes: scopes})
	if err != nil {
		log.Fatal(err)
	}
	return metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+issued.Secret.Reveal()))
}

func exampleStore() *tokenstore.Store {
	store, err := tokenstore.OpenMemory()
	if err != nil {
		log.Fatal(err)
	}
	return store
}

func ExampleNew() {
	store := exampleStore()
	defer store.Close()
	guard := tokengrpc.New(store, map[string][]string{
		"/notes.Notes/Read":  {"notes:read"},
		"/notes.Notes/Watch": {"notes:read"},
	})
	server := grpc.NewServer(grpc.UnaryInterceptor(guard.Unary()), grpc.StreamInterceptor(guard.Stream()))
	defer server.Stop()
	fmt.Println(guard.Every)
	// Output: 1s
}

func ExampleGuard_Unary() {
	store := exampleStore()
	defer store.Close()
	guarded := tokengrpc.New(store, map[string][]string{"/notes.Notes/Read": {"notes:read"}}).Unary()
	read := func(ctx context.Context, _ any) (any, error) {
		return "the notes of " + tokenstore.VerdictFrom(ctx).Owner(), nil
	}
	for _, method := range []string{"/notes.Notes/Read", "/notes.Notes/Forgotten"} {
		answer, err := guarded(exampleCall(store, "notes:read"), nil, &grpc.UnaryServerInfo{FullMethod: method}, read)
		fmt.Println(answer, status.Code(err))
	}
	// Output:
	// the notes of alice OK
	// <nil> PermissionDenied
}

// exampleStream is a stream of which only the context matters here.
type exampleStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s exampleStream) Context() context.Context { return s.ctx }

func ExampleGuard_Stream() {
	store := exampleStore()
	defer store.Close()
	guarded := tokengrpc.New(store, map[string][]string{"/notes.Notes/Watch": {"notes:read"}}).Stream()
	watch := func(_ any, stream grpc.ServerStream) error {
		ctx := stream.Context()
		_, err := store.Revoke(ctx, tokenstore.Host(), tokenstore.VerdictFrom(ctx).TokenID(), "")
		if err != nil {
			return err
		}
		<-ctx.Done() // a stream whose token has ended is ended within a second
		return nil
	}
	stream := exampleStream{ctx: exampleCall(store, "notes:read")}
	err := guarded(nil, stream, &grpc.StreamServerInfo{FullMethod: "/notes.Notes/Watch"}, watch)
	fmt.Println(status.Code(err))
	// Output: Unauthenticated
}

package tokengrpc_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tokenstore.example/tokenstore"
	tokengrpc "tokenstore.example/tokenstore/grpc"
	"tokenstore.example/tokenstore/tokenstoretest"
)

const (
	unaryMethod  = "/grpc.health.v1.Health/Check"
	streamMethod = "/grpc.health.v1.Health/Watch"
)

// health answers at once, and watches for as long as it is let.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	owners chan string
	ended  chan error
}

func (h health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	h.owners <- tokenstore.VerdictFrom(ctx).Owner()
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

func (h health) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer) error {
	h.owners <- tokenstore.VerdictFrom(stream.Context()).Owner()
	if err := stream.Send(&grpc_health_v1.HealthCheckResponse{}); err != nil {
		return err
	}
	<-stream.Context().Done()
	h.ended <- stream.Send(&grpc_health_v1.HealthCheckResponse{})
	return stream.Context().Err()
}

func serve(t *testing.T, store *tokenstoretest.Store, required map[string][]string) (grpc_health_v1.HealthClient, health) {
	t.Helper()
	guard := tokengrpc.New(store.Store, required)
	guard.Every = 10 * time.Millisecond
	server := grpc.NewServer(grpc.UnaryInterceptor(guard.Unary()), grpc.StreamInterceptor(guard.Stream()))
	service := health{owners: make(chan string, 10), ended: make(chan error, 10)}
	grpc_health_v1.RegisterHealthServer(server, service)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	connection, err := grpc.Dial(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return grpc_health_v1.NewHealthClient(connection), service
}

func with(headers ...string) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	time.AfterFunc(30*time.Second, cancel)
	for _, header := range headers {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", header)
	}
	return ctx
}

func TestEachMethodRequiresItsScopes(t *testing.T) {
	store := tokenstoretest.New(t)
	client, service := serve(t, store, map[string][]string{unaryMethod: {"health:read", "health:admin"}})
	good, narrow := store.Token("alice", "health:read", "health:admin"), store.Token("bob", "health:read")
	revoked := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"health:read", "health:admin"}})
	if _, err := store.Revoke(context.Background(), tokenstore.Host(), revoked.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		headers []string
		code    codes.Code
	}{
		"valid":       {[]string{"Bearer " + good}, codes.OK},
		"nothing":     {nil, codes.Unauthenticated},
		"no scheme":   {[]string{good}, codes.Unauthenticated},
		"two":         {[]string{"Bearer " + good, "Bearer " + good}, codes.Unauthenticated},
		"no token":    {[]string{"Bearer x"}, codes.Unauthenticated},
		"revoked":     {[]string{"Bearer " + revoked.Secret.Reveal()}, codes.Unauthenticated},
		"one of both": {[]string{"Bearer " + narrow}, codes.PermissionDenied},
	} {
		_, err := client.Check(with(c.headers...), &grpc_health_v1.HealthCheckRequest{})
		if status.Code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if owner := <-service.owners; owner != "alice" || len(service.owners) != 0 {
		t.Errorf("%q was served, and %d more", owner, len(service.owners))
	}
	// A method that nobody named is open to nobody.
	stream, err := client.Watch(with("Bearer "+good), &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("a method without scopes: %v", err)
	}
	store.Storage.Fail()
	fresh := tokenstoretest.New(t)
	other, _ := serve(t, fresh, map[string][]string{unaryMethod: {"a"}})
	text := fresh.Token("alice", "a")
	fresh.Storage.Fail()
	if _, err = other.Check(with("Bearer "+text), &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("without storage: %v", err)
	}
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	for name, end := range map[string]func(*tokenstoretest.Store, tokenstore.Issued) error{
		"revoked": func(s *tokenstoretest.Store, issued tokenstore.Issued) error {
			_, err := s.Revoke(context.Background(), tokenstore.Host(), issued.Token.ID, "")
			return err
		},
		"expired": func(s *tokenstoretest.Store, _ tokenstore.Issued) error { s.Clock.Advance(2 * time.Hour); return nil },
		"suspended": func(s *tokenstoretest.Store, _ tokenstore.Issued) error {
			_, err := s.Suspend(context.Background(), tokenstore.Host(), "alice", "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := tokenstoretest.New(t)
			client, service := serve(t, store, map[string][]string{streamMethod: {"health:read"}})
			issued := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"health:read"}, Lifetime: time.Hour})
			stream, err := client.Watch(with("Bearer "+issued.Secret.Reveal()), &grpc_health_v1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = stream.Recv(); err != nil || <-service.owners != "alice" {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
			if len(service.ended) != 0 {
				t.Fatal("the stream ended by itself")
			}
			if err = end(store, issued); err != nil {
				t.Fatal(err)
			}
			if _, err = stream.Recv(); status.Code(err) != codes.Unauthenticated {
				t.Errorf("the client is told %v", err)
			}
			if err = <-service.ended; err == nil || err == io.EOF {
				t.Errorf("the handler could go on: %v", err)
			}
		})
	}
}

func TestAMethodWithoutAScopeIsARefusalAtTheStart(t *testing.T) {
	store := tokenstoretest.New(t)
	for _, required := range []map[string][]string{{"/a/b": nil}, {"a/b": {"x"}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v is accepted", required)
				}
			}()
			tokengrpc.New(store.Store, required)
		}()
	}
}

// Package tokengrpc guards the methods of a gRPC server by the tokens of package tokenstore.
//
//	guard := tokengrpc.New(store, map[string][]string{
//		"/notes.Notes/Read":  {"notes:read"},
//		"/notes.Notes/Watch": {"notes:read"},
//	})
//	server := grpc.NewServer(grpc.UnaryInterceptor(guard.Unary()), grpc.StreamInterceptor(guard.Stream()))
//
// A method that is not named is refused to everybody: forgetting one opens nothing. The token is the metadata
// "authorization: Bearer TEXT". A stream whose token ends meanwhile is ended.
package tokengrpc

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"tokenstore.example/tokenstore"
)

// Guard lets calls through whose token is valid for every scope that their method requires.
type Guard struct {
	store    *tokenstore.Store
	required map[string][]string

	// Every is how often a stream's token is asked about while the stream lasts, besides at each message; New sets a
	// second. It bounds for how long a stream that says nothing outlives its token.
	Every time.Duration
	// Denied is told of each call that is not let through, and of each stream that is ended, for the audit log.
	Denied func(ctx context.Context, method string, verdict tokenstore.Verdict, err error)
}

// New makes a guard of the scopes that each method requires, by its full name. At least one is required.
func New(store *tokenstore.Store, required map[string][]string) *Guard {
	g := &Guard{store: store, required: map[string][]string{}, Every: time.Second}
	for method, scopes := range required {
		if len(scopes) == 0 || !strings.HasPrefix(method, "/") {
			panic("tokengrpc: a method has no leading slash, or requires no scope: " + method)
		}
		g.required[method] = append([]string(nil), scopes...)
	}
	return g
}

// judge answers the verdict of a call that is let through, or the error that the client sees.
func (g *Guard) judge(ctx context.Context, method string) (tokenstore.Verdict, error) {
	var verdict tokenstore.Verdict
	scopes := g.required[method]
	if scopes == nil {
		return verdict, g.deny(ctx, method, verdict, nil, codes.PermissionDenied, "the method is not open to tokens")
	}
	text, found := bearer(ctx)
	if !found {
		return verdict, g.deny(ctx, method, verdict, nil, codes.Unauthenticated, "a bearer token is required")
	}
	var err error
	for i, scope := range scopes {
		if i > 0 {
			verdict.Release()
		}
		verdict, err = g.store.Validate(ctx, text, tokenstore.Demand{Scope: scope, ClientAddress: address(ctx)})
		if !verdict.Valid() {
			break
		}
	}
	switch {
	case verdict.Valid():
		return verdict, nil
	case verdict.Outcome() == tokenstore.Unavailable:
		return verdict, g.deny(ctx, method, verdict, err, codes.Unavailable, "the token cannot be checked now")
	case verdict.Reason() == tokenstore.InsufficientScope:
		defer verdict.Release()
		return verdict, g.deny(ctx, method, verdict, nil, codes.PermissionDenied, "the token lacks a scope: "+strings.Join(scopes, " "))
	}
	// Which of the many ways to be invalid it was is not for the client.
	return verdict, g.deny(ctx, method, verdict, nil, codes.Unauthenticated, "the token is not valid")
}

func (g *Guard) deny(ctx context.Context, method string, verdict tokenstore.Verdict, err error, code codes.Code, message string) error {
	if g.Denied != nil {
		g.Denied(ctx, method, verdict, err)
	}
	return status.Error(code, message)
}

func bearer(ctx context.Context) (string, bool) {
	given, _ := metadata.FromIncomingContext(ctx)
	values := given.Get("authorization")
	const scheme = "bearer "
	if len(values) != 1 || len(values[0]) < len(scheme) || !strings.EqualFold(values[0][:len(scheme)], scheme) {
		return "", false
	}
	return strings.TrimLeft(values[0][len(scheme):], " "), true
}

func address(ctx context.Context) string {
	from, known := peer.FromContext(ctx)
	if !known || from.Addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(from.Addr.String())
	if err != nil || net.ParseIP(host) == nil {
		return ""
	}
	return host
}

// Unary guards calls of one request. tokenstore.VerdictFrom is the verdict, for as long as the call lasts.
func (g *Guard) Unary() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		verdict, err := g.judge(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		defer verdict.Release()
		return next(tokenstore.ContextWith(ctx, verdict), request)
	}
}

// Stream guards streams. While one lasts its token is asked about again: at each message, and now and then.
func (g *Guard) Stream() grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		verdict, err := g.judge(stream.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		defer verdict.Release()
		ctx, cancel := context.WithCancel(tokenstore.ContextWith(stream.Context(), verdict))
		guarded := &guardedStream{ServerStream: stream, guard: g, method: info.FullMethod, ctx: ctx, cancel: cancel}
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			guarded.watch(g.Every)
		}()
		// A handler may sit in RecvMsg for as long as the client says nothing. Its return ends the stream for the client,
		// so the interceptor returns as soon as the token has ended, and the handler's own calls fail from then on.
		done := make(chan error, 1)
		go func() { done <- next(server, guarded) }()
		defer func() { cancel(); <-watched }()
		select {
		case err = <-done:
		case <-ctx.Done():
			if guarded.reason() == nil {
				err = <-done
			}
		}
		if ended := guarded.reason(); ended != nil {
			return ended
		}
		return err
	}
}

type guardedStream struct {
	grpc.ServerStream
	guard  *Guard
	method string
	ctx    context.Context
	cancel context.CancelFunc

	mutex sync.Mutex
	ended error
}

func (s *guardedStream) Context() context.Context { return s.ctx }

func (s *guardedStream) SendMsg(message any) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(message)
}

func (s *guardedStream) RecvMsg(message any) error {
	if err := s.check(); err != nil {
		return err
	}
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	// The token may have ended while the message was waited for.
	return s.check()
}

func (s *guardedStream) reason() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.ended
}

// check asks about the token again, and ends the stream if it has ended.
func (s *guardedStream) check() error {
	if err := s.reason(); err != nil {
		return err
	}
	if s.ctx.Err() != nil {
		return status.FromContextError(s.ctx.Err()).Err()
	}
	verdict, err := s.guard.judge(s.ServerStream.Context(), s.method)
	verdict.Release()
	if err == nil {
		return nil
	}
	s.mutex.Lock()
	if s.ended == nil {
		s.ended = err
	}
	s.mutex.Unlock()
	s.cancel()
	return err
}

func (s *guardedStream) watch(every time.Duration) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticks.C:
			if s.check() != nil {
				return
			}
		}
	}
}

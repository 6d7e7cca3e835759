// A token's life by the client that ogen makes of openapi.yaml: life URL USER PASSWORD. Prints "ok".
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/ogen-go/ogen/ogenerrors"

	"life/api"
)

// A password, or else a token.
type credentials struct{ user, password, token string }

func (c credentials) Password(context.Context, api.OperationName) (api.Password, error) {
	if c.token != "" {
		return api.Password{}, ogenerrors.ErrSkipClientSecurity
	}
	return api.Password{Username: c.user, Password: c.password}, nil
}

func (c credentials) Token(context.Context, api.OperationName) (api.Token, error) {
	if c.token == "" {
		return api.Token{}, ogenerrors.ErrSkipClientSecurity
	}
	return api.Token{Token: c.token}, nil
}

func (credentials) SessionCookie(context.Context, api.OperationName) (api.SessionCookie, error) {
	return api.SessionCookie{}, ogenerrors.ErrSkipClientSecurity
}

func must(right bool, err error, what string, said any) {
	if err != nil || !right {
		fmt.Fprintf(os.Stderr, "%s: %v, %#v\n", what, err, said)
		os.Exit(1)
	}
}

func client(url string, who credentials) *api.Client {
	made, err := api.NewClient(url, who)
	must(true, err, "client", nil)
	return made
}

func active(ctx context.Context, asking *api.Client, token string) *api.Introspection {
	said, err := asking.Introspect(ctx, &api.TokenForm{Token: token}, api.IntrospectParams{})
	told, right := said.(*api.Introspection)
	must(right, err, "introspect", said)
	return told
}

func main() {
	ctx, url, who := context.Background(), os.Args[1], credentials{user: os.Args[2], password: os.Args[3]}
	person := client(url, who)
	request := &api.GenerateRequest{LifetimeSeconds: api.NewOptNilInt64(600), Description: api.NewOptNilString("by ogen")}
	made, err := person.GenerateToken(ctx, request, api.GenerateTokenParams{})
	generated, right := made.(*api.GeneratedHeaders)
	must(right && generated.Location.Set, err, "generate", made)
	token, id := generated.Response.TokenValue, generated.Response.TokenInfo.TokenId

	bearer := client(url, credentials{token: token})
	listed, err := bearer.ListTokens(ctx, api.ListTokensParams{Limit: api.NewOptInt(1)})
	page, right := listed.(*api.TokenPage)
	must(right && len(page.Data) == 1 && page.Data[0].TokenId == id && page.Data[0].Description == "by ogen", err, "list", listed)
	told := active(ctx, person, token)
	must(told.Active && told.Jti.Value == id && told.Username.Value == who.user, nil, "introspect", told)

	ended, err := bearer.ExpireToken(ctx, api.OptExpireRequest{}, api.ExpireTokenParams{ID: id})
	info, right := ended.(*api.TokenInfo)
	must(right && info.Status == api.TokenInfoStatusExpired, err, "expire", ended)
	refused, err := bearer.GetToken(ctx, api.GetTokenParams{ID: id})
	_, right = refused.(*api.UnauthorizedHeaders)
	must(right, err, "an expired token", refused)
	revoked, err := person.RevokeToken(ctx, api.NewOptRevokeRequest(api.RevokeRequest{Reason: api.NewOptNilString("done")}), api.RevokeTokenParams{ID: id})
	info, right = revoked.(*api.TokenInfo)
	must(right && info.Status == api.TokenInfoStatusRevoked && info.RevokeReason.Value == "done", err, "revoke", revoked)
	told = active(ctx, person, token)
	must(!told.Active && !told.Jti.Set, nil, "introspect afterwards", told)
	deleted, err := person.DeleteToken(ctx, api.DeleteTokenParams{ID: id})
	_, right = deleted.(*api.DeleteTokenNoContent)
	must(right, err, "delete", deleted)
	gone, err := person.GetToken(ctx, api.GetTokenParams{ID: id})
	problem, right := gone.(*api.ProblemStatusCode)
	must(right && problem.StatusCode == 404, err, "a deleted token", gone)
	nobody, err := client(url, who).GetSession(ctx)
	session, right := nobody.(*api.GetSessionOK)
	must(right && session.IsNoSession(), err, "session", nobody)
	fmt.Println("ok")
}

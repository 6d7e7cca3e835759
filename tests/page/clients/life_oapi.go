// A token's life by the client that oapi-codegen makes of openapi.yaml: life URL USER PASSWORD. Prints "ok".
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"life/api"
)

func must(right bool, err error, what string, said any) {
	if err != nil || !right {
		fmt.Fprintf(os.Stderr, "%s: %v, %+v\n", what, err, said)
		os.Exit(1)
	}
}

func active(ctx context.Context, client *api.ClientWithResponses, token string, who api.RequestEditorFn) *api.Introspection {
	said, err := client.IntrospectWithFormdataBodyWithResponse(ctx, nil, api.TokenForm{Token: token}, who)
	must(said != nil && said.JSON200 != nil, err, "introspect", said)
	return said.JSON200
}

func main() {
	ctx, user, password := context.Background(), os.Args[2], os.Args[3]
	client, err := api.NewClientWithResponses(os.Args[1])
	must(true, err, "client", nil)
	person := func(_ context.Context, request *http.Request) error {
		request.SetBasicAuth(user, password)
		return nil
	}
	lifetime, description, limit, reason := int64(600), "by oapi-codegen", 1, "done"
	made, err := client.GenerateTokenWithResponse(ctx, nil, api.GenerateRequest{LifetimeSeconds: &lifetime, Description: &description}, person)
	must(made != nil && made.JSON201 != nil, err, "generate", made)
	token, id := made.JSON201.TokenValue, made.JSON201.TokenInfo.TokenId
	bearer := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}

	page, err := client.ListTokensWithResponse(ctx, &api.ListTokensParams{Limit: &limit}, bearer)
	must(page != nil && page.JSON200 != nil && len(page.JSON200.Data) == 1 && page.JSON200.Data[0].TokenId == id, err, "list", page)
	told := active(ctx, client, token, person)
	must(told.Active && *told.Jti == id && *told.Username == user, nil, "introspect", told)

	ended, err := client.ExpireTokenWithResponse(ctx, id, nil, api.ExpireRequest{}, bearer)
	must(ended != nil && ended.JSON200 != nil && ended.JSON200.Status == api.TokenInfoStatusExpired, err, "expire", ended)
	refused, err := client.GetTokenWithResponse(ctx, id, bearer)
	must(refused != nil && refused.StatusCode() == 401 && refused.ApplicationproblemJSON401 != nil, err, "an expired token", refused)
	revoked, err := client.RevokeTokenWithResponse(ctx, id, nil, api.RevokeRequest{Reason: &reason}, person)
	must(revoked != nil && revoked.JSON200 != nil && revoked.JSON200.Status == api.TokenInfoStatusRevoked, err, "revoke", revoked)
	told = active(ctx, client, token, person)
	must(!told.Active && told.Jti == nil, nil, "introspect afterwards", told)
	deleted, err := client.DeleteTokenWithResponse(ctx, id, nil, person)
	must(deleted != nil && deleted.StatusCode() == 204, err, "delete", deleted)
	gone, err := client.GetTokenWithResponse(ctx, id, person)
	must(gone != nil && gone.StatusCode() == 404, err, "a deleted token", gone)
	session, err := client.GetSessionWithResponse(ctx)
	must(session != nil && session.JSON200 != nil, err, "session", session)
	_, err = session.JSON200.AsNoSession()
	must(true, err, "nobody is signed in", session)
	fmt.Println("ok")
}

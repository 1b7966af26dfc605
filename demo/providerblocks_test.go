package main

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// members are those of a JSON object.
type members = map[string]any

// documentedProvider is a block of docs/providers.md, and what its provider serves and signs.
type documentedProvider struct {
	// block is the name of the block's middleware.
	block string
	// issuers have a discovery document: whose issuer they say that they are, by the issuer that is asked.
	issuers map[string]string
	// keySet is where the keys are, and set the answer there.
	keySet string
	set    any
	// header and claims are those of the token that the page describes. Its times are added.
	header, claims members
	tokens         []providerToken
}

// providerToken differs from the token that the page describes in some members (nil removes one), or meets a
// configuration or key set that differs.
type providerToken struct {
	name           string
	header, claims members
	options        func(o members)
	set            any
	alter          func(token string) string
	// want is "served", or the status and code of the refusal.
	want string
	// headers are what the service gets of the block's forwardHeaders; a name that is missing is absent there.
	headers map[string]string
}

const (
	tenant      = "11111111-2222-3333-4444-555555555555"
	otherTenant = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	azureAPI    = "66666666-7777-8888-9999-000000000000"
	subject     = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
	cognitoPool = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEf123"
	apiURL      = "https://deploy.acme.example"
)

// cognito is the pool that two blocks have.
func cognito(t *testing.T, block string, tokens ...providerToken) documentedProvider {
	t.Helper()
	return documentedProvider{
		block:   block,
		issuers: map[string]string{cognitoPool: cognitoPool},
		keySet:  cognitoPool + "/.well-known/jwks.json",
		set: keySet(
			rsaMembers(t, "id-key", members{"alg": "RS256", "use": "sig"}),
			rsaMembers(t, "access-key", members{"alg": "RS256", "use": "sig"}),
		),
		header: members{"alg": "RS256", "kid": "access-key"},
		claims: members{
			"iss": cognitoPool, "sub": subject, "client_id": "1example23456789", "token_use": "access", "username": "ada",
			"cognito:groups": []any{"editors", "staff"}, "scope": "openid orders/read", "version": 2, "event_id": subject,
		},
		tokens: tokens,
	}
}

func documentedProviders(t *testing.T) []documentedProvider {
	t.Helper()
	return []documentedProvider{
		{
			block:   "keycloak",
			issuers: map[string]string{"https://auth.example.com/realms/shop": "https://auth.example.com/realms/shop"},
			keySet:  "https://auth.example.com/realms/shop/protocol/openid-connect/certs",
			set: keySet(
				rsaMembers(t, "enc", members{"alg": "RSA-OAEP", "use": "enc"}, certificate),
				rsaMembers(t, "sig", members{"alg": "RS256", "use": "sig"}, certificate),
			),
			header: members{"alg": "RS256", "typ": "JWT", "kid": "sig"},
			claims: members{
				"iss": "https://auth.example.com/realms/shop", "aud": []any{"shop-api", "account"}, "sub": subject, "typ": "Bearer",
				"azp": "web", "sid": subject, "scope": "openid profile", "preferred_username": "ada", "email_verified": true,
				"realm_access":    members{"roles": []any{"offline_access", "reader"}},
				"resource_access": members{"shop-api": members{"roles": []any{"editor"}}, "account": members{"roles": []any{"view-profile"}}},
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{
					"X-User-Id": subject, "X-User-Name": "ada", "X-Roles": "offline_access,reader", "X-Client-Roles": "editor",
				}},
				{name: "at+jwt", header: members{"typ": "at+jwt"}, options: func(o members) { o["tokenType"] = []any{"at+jwt"} }, want: "served", headers: map[string]string{
					"X-User-Id": subject, "X-User-Name": "ada", "X-Roles": "offline_access,reader", "X-Client-Roles": "editor",
				}},
				{name: "only at+jwt", options: func(o members) { o["tokenType"] = []any{"at+jwt"} }, want: "401 wrong_type"},
				{name: "without an audience mapper", claims: members{"aud": "account"}, want: "401 wrong_audience"},
				{name: "an ID token", claims: members{"aud": "shop-api", "typ": "ID"}, want: "403 claims_not_sufficient"},
				{name: "the encryption key's ID", header: members{"kid": "enc"}, want: "401 unknown_key"},
				{name: "another hostname", claims: members{"iss": "http://keycloak:8080/realms/shop"}, want: "401 wrong_issuer"},
			},
		},
		{
			block:   "auth0",
			issuers: map[string]string{"https://acme.eu.auth0.com/": "https://acme.eu.auth0.com/"},
			keySet:  "https://acme.eu.auth0.com/.well-known/jwks.json",
			set: keySet(
				rsaMembers(t, "current", members{"alg": "RS256", "use": "sig"}, certificate),
				otherRSAMembers(t, "next", members{"alg": "RS256", "use": "sig"}),
			),
			header: members{"alg": "RS256", "typ": "JWT", "kid": "current"},
			claims: members{
				"iss": "https://acme.eu.auth0.com/", "aud": []any{"https://api.acme.example", "https://acme.eu.auth0.com/userinfo"},
				"sub": "auth0|64a1b2", "azp": "client", "scope": "openid profile", "permissions": []any{"read:orders", "write:orders"},
				"https://acme.example/roles": []any{"editor", "staff"},
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{
					"X-User-Id": "auth0|64a1b2", "X-Permissions": "read:orders,write:orders", "X-Roles": "editor,staff",
				}},
				{name: "the issuer without its slash", claims: members{"iss": "https://acme.eu.auth0.com"}, want: "401 wrong_issuer"},
				{name: "a configuration without the slash", options: func(o members) {
					o["trustedIssuers"] = []any{members{"issuer": "https://acme.eu.auth0.com"}}
				}, want: "401 wrong_issuer"},
				{name: "an encrypted token", alter: encrypted, want: "401 token_malformed"},
				{name: "an opaque token", alter: func(string) string { return "Rm9vQmFyQmF6" }, want: "401 token_malformed"},
				{name: "an ID token", claims: members{"aud": "client"}, want: "401 wrong_audience"},
				{name: "without the role", claims: members{"https://acme.example/roles": []any{"staff"}}, want: "403 claims_not_sufficient"},
			},
		},
		{
			block: "entra",
			issuers: map[string]string{
				"https://login.microsoftonline.com/" + tenant + "/v2.0": "https://login.microsoftonline.com/" + tenant + "/v2.0",
				"https://login.microsoftonline.com/common/v2.0":         "https://login.microsoftonline.com/{tenantid}/v2.0",
			},
			keySet: "https://login.microsoftonline.com/" + tenant + "/discovery/v2.0/keys",
			set: keySet(
				rsaMembers(t, "entra-key", members{"use": "sig", "issuer": "https://login.microsoftonline.com/" + tenant + "/v2.0", "cloud_instance_name": "microsoftonline.com"}, certificate),
				otherRSAMembers(t, "entra-old", members{"use": "sig"}),
			),
			header: members{"alg": "RS256", "typ": "JWT", "kid": "entra-key"},
			claims: members{
				"iss": "https://login.microsoftonline.com/" + tenant + "/v2.0", "aud": azureAPI, "sub": "pairwise", "oid": subject, "tid": tenant,
				"ver": "2.0", "scp": "orders.read orders.write", "roles": []any{"Editor"}, "azp": "client", "preferred_username": "ada@acme.example", "aio": "x", "rh": "0.A",
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": subject, "X-Tenant-Id": tenant, "X-Roles": "Editor"}},
				{name: "a daemon's", claims: members{"scp": nil, "roles": []any{"Orders.Read.All"}, "idtyp": "app"}, options: func(o members) {
					delete(o, "scopes")
					o["claims"] = "Contains(`roles`, `Orders.Read.All`)"
				}, want: "served", headers: map[string]string{"X-User-Id": subject, "X-Tenant-Id": tenant, "X-Roles": "Orders.Read.All"}},
				{name: "a daemon's where a user is asked for", claims: members{"scp": nil}, want: "403 insufficient_scope"},
				{name: "without the scope", claims: members{"scp": "orders.write"}, want: "403 insufficient_scope"},
				{name: "version 1", claims: members{"iss": "https://sts.windows.net/" + tenant + "/", "ver": "1.0"}, want: "401 wrong_issuer"},
				{name: "for Graph", claims: members{"aud": "00000003-0000-0000-c000-000000000000", "scp": "User.Read"}, want: "401 wrong_audience"},
				{
					name: "for Graph, with the nonce that was hashed before signing", header: members{"nonce": "hashed"},
					alter: func(token string) string { return withHeader(token, "nonce", "plain") }, want: "401 bad_signature",
				},
				{name: "the common endpoint", options: func(o members) {
					o["trustedIssuers"] = []any{members{"issuer": "https://login.microsoftonline.com/common/v2.0"}}
				}, want: "401 wrong_issuer"},
			},
		},
		{
			block:  "entra-v1",
			keySet: "https://login.microsoftonline.com/" + tenant + "/discovery/keys",
			set:    keySet(rsaMembers(t, "entra-key", members{"use": "sig"}, certificate)),
			header: members{"alg": "RS256", "typ": "JWT", "kid": "entra-key", "x5t": "entra-key"},
			claims: members{
				"iss": "https://sts.windows.net/" + tenant + "/", "aud": "api://orders", "sub": "pairwise", "oid": subject, "tid": tenant,
				"ver": "1.0", "scp": "orders.read", "appid": "client", "appidacr": "0", "upn": "ada@acme.example", "unique_name": "ada@acme.example",
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": subject, "X-User-Name": "ada@acme.example"}},
				{name: "a guest's", claims: members{"upn": nil, "aud": azureAPI}, want: "served", headers: map[string]string{"X-User-Id": subject}},
				{name: "for another API", claims: members{"aud": "other"}, want: "401 wrong_audience"},
				{name: "without the scope", claims: members{"scp": "orders.write"}, want: "403 insufficient_scope"},
				{name: "the issuer without its slash", claims: members{"iss": "https://sts.windows.net/" + tenant}, want: "401 wrong_issuer"},
				{name: "version 2", claims: members{"iss": "https://login.microsoftonline.com/" + tenant + "/v2.0", "aud": azureAPI}, want: "401 wrong_issuer"},
			},
		},
		{
			block: "entra-tenants",
			issuers: map[string]string{
				"https://login.microsoftonline.com/" + tenant + "/v2.0":      "https://login.microsoftonline.com/" + tenant + "/v2.0",
				"https://login.microsoftonline.com/" + otherTenant + "/v2.0": "https://login.microsoftonline.com/" + otherTenant + "/v2.0",
			},
			keySet: "https://login.microsoftonline.com/common/discovery/v2.0/keys",
			set:    keySet(rsaMembers(t, "entra-key", members{"use": "sig"}, certificate)),
			header: members{"alg": "RS256", "typ": "JWT", "kid": "entra-key"},
			claims: members{"iss": "https://login.microsoftonline.com/" + tenant + "/v2.0", "aud": azureAPI, "oid": subject, "tid": tenant, "sub": "pairwise", "ver": "2.0"},
			tokens: []providerToken{
				{name: "the first tenant's", want: "served", headers: map[string]string{"X-User-Id": subject, "X-Tenant-Id": tenant}},
				{
					name: "the second tenant's", claims: members{"iss": "https://login.microsoftonline.com/" + otherTenant + "/v2.0", "tid": otherTenant},
					want: "served", headers: map[string]string{"X-User-Id": subject, "X-Tenant-Id": otherTenant},
				},
				{name: "for another API", claims: members{"aud": "other"}, want: "401 wrong_audience"},
				{name: "another tenant's under the same key", claims: members{"iss": "https://login.microsoftonline.com/99999999-2222-3333-4444-555555555555/v2.0"}, want: "401 wrong_issuer"},
			},
		},
		{
			block:  "b2c",
			keySet: "https://acme.b2clogin.com/acme.onmicrosoft.com/b2c_1_signin/discovery/v2.0/keys",
			set:    keySet(rsaMembers(t, "b2c-key", members{"use": "sig", "nbf": 1493763266})),
			header: members{"alg": "RS256", "typ": "JWT", "kid": "b2c-key"},
			claims: members{
				"iss": "https://acme.b2clogin.com/" + tenant + "/v2.0/", "aud": azureAPI, "sub": subject, "tfp": "B2C_1_signin", "ver": "1.0",
				"scp": "orders.read", "azp": "client", "emails": []any{"ada@acme.example"}, "auth_time": time.Now().Unix(),
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": subject}},
				{name: "for another API", claims: members{"aud": "other"}, want: "401 wrong_audience"},
				{name: "without the scope", claims: members{"scp": "orders.write"}, want: "403 insufficient_scope"},
				{name: "of another policy", claims: members{"tfp": "B2C_1_reset"}, want: "403 claims_not_sufficient"},
				{name: "the issuer without its slash", claims: members{"iss": "https://acme.b2clogin.com/" + tenant + "/v2.0"}, want: "401 wrong_issuer"},
				{name: "by discovery", options: func(o members) {
					o["trustedIssuers"] = []any{members{"issuer": "https://acme.b2clogin.com/" + tenant + "/v2.0/"}}
				}, want: "503 keys_unavailable"},
			},
		},
		{
			block:   "okta",
			issuers: map[string]string{"https://acme.okta.com/oauth2/default": "https://acme.okta.com/oauth2/default"},
			keySet:  "https://acme.okta.com/oauth2/default/v1/keys",
			set:     keySet(rsaMembers(t, "okta-key", members{"alg": "RS256", "use": "sig"})),
			header:  members{"alg": "RS256", "kid": "okta-key"},
			claims: members{
				"ver": 1, "jti": "AT.x", "iss": "https://acme.okta.com/oauth2/default", "aud": "api://default", "cid": "client", "uid": "00u1",
				"scp": []any{"openid", "orders.read"}, "sub": "ada@acme.example", "groups": []any{"Everyone", "Editors"}, "auth_time": time.Now().Unix(),
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": "00u1", "X-User-Name": "ada@acme.example", "X-Groups": "Everyone,Editors"}},
				{name: "a machine's", claims: members{"uid": nil, "groups": nil, "sub": "client"}, want: "served", headers: map[string]string{"X-User-Name": "client"}},
				{name: "for another API", claims: members{"aud": "other"}, want: "401 wrong_audience"},
				{name: "of the org server", claims: members{"iss": "https://acme.okta.com", "aud": "https://acme.okta.com"}, want: "401 wrong_issuer"},
				{name: "without the scope", claims: members{"scp": []any{"openid"}}, want: "403 insufficient_scope"},
			},
		},
		cognito(t, "cognito",
			providerToken{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": subject, "X-User-Name": "ada", "X-Groups": "editors,staff"}},
			providerToken{name: "with audience", options: func(o members) { o["audience"] = []any{"1example23456789"} }, want: "401 wrong_audience"},
			providerToken{name: "an ID token", header: members{"kid": "id-key"}, claims: members{"client_id": nil, "aud": "1example23456789", "token_use": "id"}, want: "403 claims_not_sufficient"},
			providerToken{name: "of another client", claims: members{"client_id": "other"}, want: "403 claims_not_sufficient"},
			providerToken{name: "of one of several clients", claims: members{"client_id": "app"}, options: func(o members) {
				o["claims"] = "OneOf(`client_id`, `web`, `app`)"
			}, want: "served", headers: map[string]string{"X-User-Id": subject, "X-User-Name": "ada", "X-Groups": "editors,staff"}},
		),
		{
			block:   "google",
			issuers: map[string]string{"https://accounts.google.com": "https://accounts.google.com"},
			keySet:  "https://www.googleapis.com/oauth2/v3/certs",
			set: keySet(
				rsaMembers(t, "google-key", members{"alg": "RS256", "use": "sig"}),
				otherRSAMembers(t, "google-next", members{"alg": "RS256", "use": "sig"}),
			),
			header: members{"alg": "RS256", "typ": "JWT", "kid": "google-key"},
			claims: members{
				"iss": "https://accounts.google.com", "azp": "client", "aud": "1234567890-abc.apps.googleusercontent.com", "sub": "110169484474386276334",
				"hd": "acme.example", "email": "ada@acme.example", "email_verified": true,
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": "110169484474386276334", "X-User-Email": "ada@acme.example"}},
				{name: "the issuer without its scheme", claims: members{"iss": "accounts.google.com"}, want: "served", headers: map[string]string{
					"X-User-Id": "110169484474386276334", "X-User-Email": "ada@acme.example",
				}},
				{name: "no Workspace account", claims: members{"hd": nil, "email": "ada@gmail.com"}, want: "403 claims_not_sufficient"},
				{name: "for another client", claims: members{"aud": "other.apps.googleusercontent.com"}, want: "401 wrong_audience"},
				{name: "an access token", alter: func(string) string { return "ya29.a0AfH6SMBx" }, want: "401 token_malformed"},
			},
		},
		{
			block:  "iap",
			keySet: "https://www.gstatic.com/iap/verify/public_key-jwk",
			set:    keySet(ecMembers(t, "iap-key", members{"alg": "ES256", "use": "sig"})),
			header: members{"alg": "ES256", "typ": "JWT", "kid": "iap-key"},
			claims: members{
				"iss": "https://cloud.google.com/iap", "aud": "/projects/123456789/global/backendServices/987654321",
				"sub": "accounts.google.com:1234", "email": "ada@acme.example", "hd": "acme.example", "google": members{"access_levels": []any{}},
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": "accounts.google.com:1234", "X-User-Email": "ada@acme.example"}},
				{name: "of a backend that is gone", claims: members{"aud": "/projects/123456789/global/backendServices/1"}, want: "401 wrong_audience"},
				{name: "the PEM address", set: members{"iap-key": "-----BEGIN PUBLIC KEY-----"}, want: "503 keys_unavailable"},
			},
		},
		{
			block:  "firebase",
			keySet: "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
			set:    keySet(rsaMembers(t, "firebase-key", members{"alg": "RS256", "use": "sig"})),
			header: members{"alg": "RS256", "typ": "JWT", "kid": "firebase-key"},
			claims: members{
				"iss": "https://securetoken.google.com/acme-shop", "aud": "acme-shop", "sub": "uid1", "user_id": "uid1", "auth_time": time.Now().Unix(),
				"email": "ada@acme.example", "email_verified": false, "role": "editor",
				"firebase": members{"identities": members{"email": []any{"ada@acme.example"}}, "sign_in_provider": "password"},
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": "uid1", "X-User-Email": "ada@acme.example", "X-Role": "editor"}},
				{name: "for another project", claims: members{"aud": "other"}, want: "401 wrong_audience"},
				{name: "of another project under the same key", claims: members{"iss": "https://securetoken.google.com/other", "aud": "other"}, want: "401 wrong_issuer"},
				{name: "an anonymous user's", claims: members{"firebase": members{"sign_in_provider": "anonymous"}}, want: "403 claims_not_sufficient"},
				{name: "a session cookie", claims: members{"iss": "https://session.firebase.google.com/acme-shop"}, want: "401 wrong_issuer"},
				{name: "the x509 address", set: members{"firebase-key": "-----BEGIN CERTIFICATE-----"}, want: "503 keys_unavailable"},
			},
		},
		{
			block:  "supabase",
			keySet: "https://abcdefghijklmnop.supabase.co/auth/v1/.well-known/jwks.json",
			set:    keySet(ecMembers(t, "supabase-key", members{"alg": "ES256", "use": "sig", "ext": true, "key_ops": []any{"verify"}})),
			header: members{"alg": "ES256", "typ": "JWT", "kid": "supabase-key"},
			claims: members{
				"iss": "https://abcdefghijklmnop.supabase.co/auth/v1", "aud": "authenticated", "sub": subject, "role": "authenticated", "aal": "aal1",
				"session_id": subject, "email": "ada@acme.example", "phone": "", "is_anonymous": false,
				"app_metadata": members{"provider": "email", "role": "editor"}, "user_metadata": members{"role": "admin"},
				"amr": []any{members{"method": "password", "timestamp": time.Now().Unix()}},
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": subject, "X-User-Email": "ada@acme.example", "X-Role": "editor"}},
				{name: "for another audience", claims: members{"aud": "anon"}, want: "401 wrong_audience"},
				{name: "an anonymous user's", claims: members{"is_anonymous": true, "email": ""}, want: "403 claims_not_sufficient"},
				{name: "under the legacy secret", header: members{"alg": "HS256", "kid": "legacy"}, set: keySet(), want: "401 wrong_algorithm"},
				{
					name: "under the legacy secret, while both are in use", header: members{"alg": "HS256", "kid": nil}, options: bothInUse,
					want: "served", headers: map[string]string{"X-User-Id": subject, "X-User-Email": "ada@acme.example", "X-Role": "editor"},
				},
				{
					name: "under the new key, while both are in use", options: bothInUse,
					want: "served", headers: map[string]string{"X-User-Id": subject, "X-User-Email": "ada@acme.example", "X-Role": "editor"},
				},
				{
					name: "the anon key, while both are in use", header: members{"alg": "HS256", "kid": nil}, options: bothInUse,
					claims: members{"iss": "supabase", "aud": nil, "sub": nil, "role": "anon", "ref": "abcdefghijklmnop"}, want: "401 wrong_audience",
				},
			},
		},
		{
			block:   "zitadel",
			issuers: map[string]string{"https://acme-x1y2z3.zitadel.cloud": "https://acme-x1y2z3.zitadel.cloud"},
			keySet:  "https://acme-x1y2z3.zitadel.cloud/oauth/v2/keys",
			set:     keySet(rsaMembers(t, "290012345678901299", members{"alg": "RS256", "use": "sig"})),
			header:  members{"alg": "RS256", "typ": "JWT", "kid": "290012345678901299"},
			claims: members{
				"iss": "https://acme-x1y2z3.zitadel.cloud", "aud": []any{"290012345678901111", "290012345678901234"}, "sub": "290012345678905555",
				"client_id": "290012345678901111", "jti": "V2_1",
				"urn:zitadel:iam:org:project:roles": members{"admin": members{"290012345678900001": "acme.example"}},
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{
					"X-User-Id": "290012345678905555", "X-Roles": `{"admin":{"290012345678900001":"acme.example"}}`,
				}},
				{name: "another role", claims: members{"urn:zitadel:iam:org:project:roles": members{"reader": members{"290012345678900001": "admin"}}}, want: "403 claims_not_sufficient"},
				{name: "without roles", claims: members{"urn:zitadel:iam:org:project:roles": nil}, want: "403 claims_not_sufficient"},
				{name: "of another project", claims: members{"aud": []any{"290012345678901111"}}, want: "401 wrong_audience"},
				{name: "an opaque token", alter: func(string) string { return "dEcJXQ5xXjKfW0ubVUtMg7sfcMg" }, want: "401 token_malformed"},
			},
		},
		{
			block:   "authentik",
			issuers: map[string]string{"https://auth.example.com/application/o/shop/": "https://auth.example.com/application/o/shop/"},
			keySet:  "https://auth.example.com/application/o/shop/jwks/",
			set:     keySet(rsaMembers(t, "authentik-key", members{"alg": "RS256", "use": "sig"}, certificate)),
			header:  members{"alg": "RS256", "typ": "JWT", "kid": "authentik-key"},
			claims: members{
				"iss": "https://auth.example.com/application/o/shop/", "aud": "TJNK9c2pPpQ1aVnS", "sub": "0c3f5e", "acr": "goauthentik.io/providers/oauth2/default",
				"amr": []any{"pwd"}, "azp": "TJNK9c2pPpQ1aVnS", "uid": "x", "preferred_username": "ada", "groups": []any{"authentik Admins", "Editors"},
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": "0c3f5e", "X-User-Name": "ada", "X-Groups": "authentik Admins,Editors"}},
				{name: "for another client", claims: members{"aud": "other"}, want: "401 wrong_audience"},
				{name: "without a signing key", header: members{"alg": "HS256", "kid": nil}, set: members{}, want: "401 wrong_algorithm"},
				{name: "encrypted", alter: encrypted, want: "401 token_malformed"},
				{name: "the issuer without its slash", claims: members{"iss": "https://auth.example.com/application/o/shop"}, want: "401 wrong_issuer"},
				{name: "of another application", claims: members{"iss": "https://auth.example.com/application/o/other/"}, want: "401 wrong_issuer"},
				{name: "the same issuer for all", claims: members{"iss": "https://auth.example.com/"}, options: func(o members) {
					o["trustedIssuers"] = []any{members{"issuer": "https://auth.example.com/", "jwksUrl": "https://auth.example.com/application/o/shop/jwks/"}}
				}, want: "served", headers: map[string]string{"X-User-Id": "0c3f5e", "X-User-Name": "ada", "X-Groups": "authentik Admins,Editors"}},
			},
		},
		{
			block:  "access",
			keySet: "https://acme.cloudflareaccess.com/cdn-cgi/access/certs",
			set: members{
				"keys":        []any{rsaMembers(t, "cf-key", members{"alg": "RS256", "use": "sig"}), otherRSAMembers(t, "cf-old", members{"alg": "RS256", "use": "sig"})},
				"public_cert": members{"kid": "cf-key", "cert": "-----BEGIN CERTIFICATE-----"}, "public_certs": []any{},
			},
			header: members{"alg": "RS256", "typ": "JWT", "kid": "cf-key"},
			claims: members{
				"iss": "https://acme.cloudflareaccess.com", "aud": []any{"4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2"},
				"sub": subject, "email": "ada@acme.example", "type": "app", "identity_nonce": "6ei69kaw", "country": "US",
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": subject, "X-User-Email": "ada@acme.example"}},
				{name: "a service token's", claims: members{"sub": "", "email": nil, "common_name": "c0ffee.access"}, want: "served", headers: map[string]string{"X-Service": "c0ffee.access"}},
				{
					name: "a service token's, people only", claims: members{"sub": "", "email": nil, "common_name": "c0ffee.access"},
					options: func(o members) { o["claims"] = "Contains(`email`, `@`)" }, want: "403 claims_not_sufficient",
				},
				{name: "of another application", claims: members{"aud": []any{"other"}}, want: "401 wrong_audience"},
			},
		},
		{
			block:   "github",
			issuers: map[string]string{"https://token.actions.githubusercontent.com": "https://token.actions.githubusercontent.com"},
			keySet:  "https://token.actions.githubusercontent.com/.well-known/jwks",
			set:     keySet(rsaMembers(t, "github-key", members{"alg": "RS256", "use": "sig"}, certificate)),
			header:  members{"alg": "RS256", "typ": "JWT", "kid": "github-key", "x5t": "github-key"},
			claims: members{
				"iss": "https://token.actions.githubusercontent.com", "aud": apiURL, "sub": "repo:acme@65/shop@74654:ref:refs/heads/main",
				"repository": "acme/shop", "repository_id": "74654", "repository_owner": "acme", "repository_owner_id": "65", "ref": "refs/heads/main",
				"ref_type": "branch", "ref_protected": "true", "event_name": "push", "actor": "ada", "job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{
					"X-Repository": "acme/shop", "X-Workflow": "acme/shop/.github/workflows/deploy.yml@refs/heads/main", "X-Actor": "ada",
				}},
				{name: "of anybody else's workflow", claims: members{"repository": "mallory/shop", "repository_id": "9", "repository_owner_id": "8"}, want: "403 claims_not_sufficient"},
				{name: "of a repository with a name that was given up", claims: members{"repository_id": "9"}, want: "403 claims_not_sufficient"},
				{name: "of a pull request", claims: members{"event_name": "pull_request", "ref": "refs/pull/1/merge"}, want: "403 claims_not_sufficient"},
				{name: "for the default audience", claims: members{"aud": "https://github.com/acme"}, want: "401 wrong_audience"},
			},
		},
		{
			block:   "gitlab",
			issuers: map[string]string{"https://gitlab.com": "https://gitlab.com"},
			keySet:  "https://gitlab.com/oauth/discovery/keys",
			set: keySet(
				rsaMembers(t, "gitlab-key", members{"alg": "RS256", "use": "sig"}),
				otherRSAMembers(t, "gitlab-other", members{"alg": "RS256", "use": "sig"}),
			),
			header: members{"alg": "RS256", "typ": "JWT", "kid": "gitlab-key"},
			claims: members{
				"iss": "https://gitlab.com", "aud": apiURL, "sub": "project_path:acme/shop:ref_type:branch:ref:main", "namespace_id": "72",
				"namespace_path": "acme", "project_id": "22", "project_path": "acme/shop", "user_id": "1", "user_login": "ada", "ref": "main",
				"ref_path": "refs/heads/main", "ref_type": "branch", "ref_protected": "true", "runner_id": 1, "groups_direct": []any{"acme"},
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-Project": "acme/shop", "X-Ref": "refs/heads/main", "X-User-Name": "ada"}},
				{name: "of another project", claims: members{"project_id": "23"}, want: "403 claims_not_sufficient"},
				{name: "of a branch that is not protected", claims: members{"ref_protected": "false"}, want: "403 claims_not_sufficient"},
				{name: "of a login with GitLab", claims: members{"aud": "application", "sub": "1"}, want: "401 wrong_audience"},
			},
		},
		{
			block:  "kubernetes",
			keySet: "https://kubernetes.default.svc/openid/v1/jwks",
			set:    keySet(rsaMembers(t, "cluster-key", members{"alg": "RS256", "use": "sig"})),
			header: members{"alg": "RS256", "kid": "cluster-key"},
			claims: members{
				"iss": "https://kubernetes.default.svc.cluster.local", "aud": []any{"orders"}, "sub": "system:serviceaccount:shop:web",
				"kubernetes.io": members{
					"namespace": "shop", "node": members{"name": "node-1", "uid": subject}, "pod": members{"name": "web-1", "uid": subject},
					"serviceaccount": members{"name": "web", "uid": subject}, "warnafter": time.Now().Unix(),
				},
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{
					"X-User-Id": "system:serviceaccount:shop:web", "X-Namespace": "shop", "X-Service-Account": "web",
				}},
				{name: "without a bearer token for the keys", options: func(o members) {
					delete(o["trustedIssuers"].([]any)[0].(members), "bearerToken")
				}, want: "503 keys_unavailable"},
				{name: "the token that every pod has", claims: members{"aud": []any{"https://kubernetes.default.svc.cluster.local"}}, want: "401 wrong_audience"},
				{name: "of another namespace", claims: members{"kubernetes.io": members{"namespace": "other"}}, want: "403 claims_not_sufficient"},
				{name: "of a Secret", claims: members{"exp": nil, "iat": nil, "nbf": nil, "aud": nil}, want: "401 no_expiry"},
			},
		},
		{
			block:  "spiffe",
			keySet: "https://spire.acme.example/bundle",
			set: members{
				"keys": []any{
					ecMembers(t, "", members{"use": "x509-svid"}, certificate),
					ecMembers(t, "spire-key", members{"use": "jwt-svid"}),
				},
				"spiffe_sequence": 7, "spiffe_refresh_hint": 300,
			},
			header: members{"alg": "ES256", "typ": "JWT", "kid": "spire-key"},
			claims: members{"aud": []any{"spiffe://acme.example/orders"}, "sub": "spiffe://acme.example/ns/shop/sa/web"},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-Spiffe-Id": "spiffe://acme.example/ns/shop/sa/web"}},
				{name: "typ JOSE", header: members{"typ": "JOSE"}, want: "served", headers: map[string]string{"X-Spiffe-Id": "spiffe://acme.example/ns/shop/sa/web"}},
				{name: "without typ", header: members{"typ": nil}, want: "401 wrong_type"},
				{
					name: "without typ and tokenType", header: members{"typ": nil}, options: func(o members) { delete(o, "tokenType") },
					want: "served", headers: map[string]string{"X-Spiffe-Id": "spiffe://acme.example/ns/shop/sa/web"},
				},
				{name: "an access token's typ", header: members{"typ": "at+jwt"}, want: "401 wrong_type"},
				{name: "of another trust domain", claims: members{"sub": "spiffe://acme.example.evil/ns/shop/sa/web"}, want: "403 claims_not_sufficient"},
				{name: "for another service", claims: members{"aud": []any{"spiffe://acme.example/stock"}}, want: "401 wrong_audience"},
			},
		},
		{
			block:   "apple",
			issuers: map[string]string{"https://appleid.apple.com": "https://appleid.apple.com"},
			keySet:  "https://appleid.apple.com/auth/keys",
			set: keySet(
				rsaMembers(t, "apple-key", members{"alg": "RS256", "use": "sig"}),
				otherRSAMembers(t, "apple-other", members{"alg": "RS256", "use": "sig"}),
			),
			header: members{"alg": "RS256", "kid": "apple-key"},
			claims: members{
				"iss": "https://appleid.apple.com", "aud": "com.acme.shop", "sub": "001234.abc.0123", "email": "ada@acme.example",
				"email_verified": true, "is_private_email": "false", "auth_time": time.Now().Unix(), "nonce_supported": true,
			},
			tokens: []providerToken{
				{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": "001234.abc.0123", "X-User-Email": "ada@acme.example"}},
				{name: "booleans as texts, from the web", claims: members{"email_verified": "true", "aud": "com.acme.shop.web"}, want: "served", headers: map[string]string{
					"X-User-Id": "001234.abc.0123", "X-User-Email": "ada@acme.example",
				}},
				{name: "of another app", claims: members{"aud": "com.mallory.shop"}, want: "401 wrong_audience"},
				{name: "without an address", claims: members{"email": nil, "email_verified": nil}, want: "403 claims_not_sufficient"},
			},
		},
		cognito(t, "load-balancer",
			providerToken{name: "as documented", want: "served", headers: map[string]string{"X-User-Id": subject}},
			providerToken{name: "of another client", claims: members{"client_id": "other"}, want: "403 claims_not_sufficient"},
			providerToken{name: "the balancer's own", header: members{"signer": "arn", "client": "x"}, alter: func(token string) string {
				return withHeader(token, "exp", 1) + "=="
			}, want: "401 token_malformed"},
		),
	}
}

// TestProviderBlocks runs each block of docs/providers.md against a token and a key set of its provider's shape: what
// the page says is served, with the headers that the block asks for, and each trap is refused.
func TestProviderBlocks(t *testing.T) {
	blocks := providerBlocks(t)
	tested := []string{}
	for _, provider := range documentedProviders(t) {
		tested = append(tested, provider.block)
		block := blocks[provider.block]
		if block == "" {
			t.Errorf("docs/providers.md has no block %s", provider.block)
			continue
		}
		t.Run(provider.block, func(t *testing.T) {
			bothways.Run(t, func(t *testing.T, e bothways.Engine) {
				for _, token := range provider.tokens {
					t.Run(token.name, func(t *testing.T) { provider.check(t, e, block, token) })
				}
			})
		})
	}
	for name := range blocks {
		if !slices.Contains(tested, name) {
			t.Errorf("no test has the block %s", name)
		}
	}
}

// providerBlocks are the options of the page's middlewares.
func providerBlocks(t *testing.T) map[string]string {
	t.Helper()
	blocks := map[string]string{}
	for _, content := range yamlBlocks(t, "docs/providers.md") {
		for _, document := range documents(t, content) {
			middlewares, _ := document["http"].(members)["middlewares"].(members)
			for name, middleware := range middlewares {
				options := middleware.(members)["plugin"].(members)["slidingjwt"]
				text, err := json.Marshal(options)
				if err != nil {
					t.Fatal(err)
				}
				if blocks[name] != "" {
					t.Errorf("docs/providers.md has two blocks %s", name)
				}
				blocks[name] = string(text)
			}
		}
	}
	return blocks
}

// check asks for a token's outcome. The provider is this test's own server, at which every host is a folder.
func (p documentedProvider) check(t *testing.T, e bothways.Engine, block string, token providerToken) {
	var options members
	if err := json.Unmarshal([]byte(block), &options); err != nil {
		t.Fatal(err)
	}
	if token.options != nil {
		token.options(options)
	}
	set := p.set
	if token.set != nil {
		set = token.set
	}
	server := httptest.NewTLSServer(p.answers(t, set))
	t.Cleanup(server.Close)
	local := func(address string) string { return strings.Replace(address, "https://", server.URL+"/", 1) }
	reach(t, options, server, local)

	handler, service := e.Middleware(t, bothways.Options(options))
	header := "Authorization"
	value := "Bearer "
	if name, ok := options["headerName"].(string); ok {
		header, value = name, ""
	}
	value += p.sign(t, token, local)
	rec := bothways.Send(t, handler, http.MethodGet, "/", http.Header{header: {value}}, nil)
	if got := bothways.Outcome(t, rec); got != token.want {
		t.Fatalf("got %s, want %s", got, token.want)
	}
	if token.want != "served" {
		if service.Calls() != 0 {
			t.Error("the request reached the service")
		}
		return
	}
	got := map[string]string{}
	for name := range options["forwardHeaders"].(members) {
		if values := service.Request().Header[name]; len(values) > 0 {
			got[name] = strings.Join(values, "\n")
		}
	}
	if !maps.Equal(got, token.headers) {
		t.Errorf("got the headers %v, want %v", got, token.headers)
	}
	if values := service.Request().Header[header]; values != nil {
		t.Errorf("the service got the token in %s", header)
	}
}

// answers are the provider's: the key set and the discovery documents. Kubernetes wants to know who asks.
func (p documentedProvider) answers(t *testing.T, set any) http.HandlerFunc {
	wantsToken := strings.Contains(p.keySet, "/openid/v1/jwks")
	return func(w http.ResponseWriter, req *http.Request) {
		base := "https://" + req.Host + "/"
		local := func(address string) string { return strings.Replace(address, "https://", base, 1) }
		here := base + strings.TrimPrefix(req.URL.Path, "/")
		var body any
		switch {
		case here == local(p.keySet):
			if wantsToken && req.Header.Get("Authorization") != "Bearer traefiks-own" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			if !wantsToken && req.Header.Get("Authorization") != "" {
				t.Errorf("the key endpoint of %s got Authorization", p.block)
			}
			body = set
		default:
			for asked, issuer := range p.issuers {
				if here == local(strings.TrimSuffix(asked, "/")+"/.well-known/openid-configuration") {
					body = members{"issuer": local(issuer), "jwks_uri": local(p.keySet), "id_token_signing_alg_values_supported": []any{"RS256"}}
				}
			}
		}
		if body == nil {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body) // The client has gone.
	}
}

// reach makes the options lead to the test's server, whose authority they trust.
func reach(t *testing.T, options members, server *httptest.Server, local func(string) string) {
	t.Helper()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if config, ok := options["clientConfig"].(members); ok {
		if config["tls"].(members)["ca"] != "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt" {
			t.Errorf("got clientConfig %v, want the cluster's authority", config)
		}
	}
	options["clientConfig"] = members{"tls": members{"ca": authority}, "maxRetries": 0}
	entries := []any{options}
	if trusted, ok := options["trustedIssuers"].([]any); ok {
		entries = append(entries, trusted...)
	}
	for _, entry := range entries {
		entry := entry.(members)
		for _, name := range []string{"issuer", "jwksUrl"} {
			if address, ok := entry[name].(string); ok {
				entry[name] = local(address)
			}
		}
		if entry["bearerToken"] != nil {
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte("traefiks-own\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			entry["bearerToken"] = file
		}
	}
}

// sign makes the token.
func (p documentedProvider) sign(t *testing.T, token providerToken, local func(string) string) string {
	t.Helper()
	now := time.Now().Unix()
	claims := jwt.MapClaims{"iat": now - 60, "nbf": now - 60, "exp": now + 3600}
	overlay(claims, p.claims, token.claims)
	if issuer, ok := claims["iss"].(string); ok {
		claims["iss"] = local(issuer)
	}
	header := map[string]any{}
	overlay(header, p.header, token.header)
	made := &jwt.Token{Header: header, Claims: claims, Method: jwt.GetSigningMethod(header["alg"].(string))}
	keys := map[string]any{"RS256": minted.Key(t, "RSA"), "ES256": minted.Key(t, "P-256"), "HS256": []byte(legacySecret)}
	text := signed(t, made, keys[made.Method.Alg()])
	if token.alter != nil {
		text = token.alter(text)
	}
	return text
}

func overlay(all members, layers ...members) {
	for _, layer := range layers {
		for name, value := range layer {
			all[name] = value
			if value == nil {
				delete(all, name)
			}
		}
	}
}

// withHeader sets a member of a token's header after it was signed.
func withHeader(token, name string, value any) string {
	head, rest, _ := strings.Cut(token, ".")
	var header members
	decoded, _ := base64.RawURLEncoding.DecodeString(head)
	_ = json.Unmarshal(decoded, &header)
	header[name] = value
	encoded, _ := json.Marshal(header)
	return base64.RawURLEncoding.EncodeToString(encoded) + "." + rest
}

// encrypted is a token that has the form of an encrypted one (RFC 7516 3.1).
func encrypted(string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM"}`)) + "..bm9uY2U.Y2lwaGVydGV4dA.dGFn"
}

const legacySecret = "a legacy secret of a project, long enough for HS256"

// bothInUse is what the page says for the time in which a project has a secret and a key.
func bothInUse(o members) {
	entry := o["trustedIssuers"].([]any)[0].(members)
	delete(o, "trustedIssuers")
	o["issuer"], o["jwksUrl"], o["signingSecret"] = entry["issuer"], entry["jwksUrl"], legacySecret
}

func keySet(keys ...any) members {
	return members{"keys": append([]any{}, keys...)}
}

// rsaMembers is the JWK of the key that signs.
func rsaMembers(t *testing.T, kid string, others members, further ...addition) members {
	t.Helper()
	return keyMembers(t, "RSA", kid, others, further)
}

// otherRSAMembers is the JWK of a key that has signed nothing here.
func otherRSAMembers(t *testing.T, kid string, others members) members {
	t.Helper()
	return keyMembers(t, "RSA of a stranger", kid, others, nil)
}

// ecMembers is the JWK of the elliptic key that signs.
func ecMembers(t *testing.T, kid string, others members, further ...addition) members {
	t.Helper()
	return keyMembers(t, "P-256", kid, others, further)
}

// addition adds to a JWK what a provider tells of its key besides.
type addition func(t *testing.T, jwk members, key crypto.Signer)

// keyMembers is the JWK of a key of minted, which all the providers share. Without a kid it has none.
func keyMembers(t *testing.T, name, kid string, others members, further []addition) members {
	t.Helper()
	key := minted.Key(t, name)
	jwk := members(minted.PublicJWK(t, key).With(others))
	if kid != "" {
		jwk["kid"] = kid
	}
	for _, add := range further {
		add(t, jwk, key)
	}
	return jwk
}

// certificate adds what a provider that keeps its key in a certificate tells of it (RFC 7517 4.7 to 4.9).
func certificate(t *testing.T, jwk members, key crypto.Signer) {
	t.Helper()
	block, _ := pem.Decode([]byte(minted.PEM(t, "certificate", key)))
	short, long := sha1.Sum(block.Bytes), sha256.Sum256(block.Bytes)
	jwk["x5c"] = []any{base64.StdEncoding.EncodeToString(block.Bytes)}
	jwk["x5t"], jwk["x5t#S256"] = minted.Base64(short[:]), minted.Base64(long[:])
}

package armemulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// denial is an error of Entra's.
type denial struct {
	status int
	kind   string // OAuth's
	code   int    // AADSTS…
	text   string
}

func deny(status int, kind string, code int, format string, args ...any) *denial {
	return &denial{status: status, kind: kind, code: code, text: fmt.Sprintf(format, args...)}
}

// register puts Entra's addresses beside those of Resource Manager.
func (t *Tokens) register(mux *http.ServeMux, e *Emulator) {
	mux.HandleFunc("GET /common/discovery/instance", func(w http.ResponseWriter, r *http.Request) {
		base := base(r)
		write(w, http.StatusOK, map[string]any{
			"tenant_discovery_endpoint": base + "/" + t.tenant + "/v2.0/.well-known/openid-configuration",
			"api-version":               "1.1",
			"metadata": []any{map[string]any{
				"preferred_network": r.Host, "preferred_cache": r.Host, "aliases": []string{r.Host},
			}},
		})
	})
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		if d := t.tenantOf(r); d != nil {
			t.refuse(w, e, d)
			return
		}
		base := base(r) + "/" + t.tenant
		write(w, http.StatusOK, map[string]any{
			"issuer": base + "/v2.0", "token_endpoint": base + "/oauth2/v2.0/token",
			"authorization_endpoint": base + "/oauth2/v2.0/authorize", "jwks_uri": base + "/discovery/v2.0/keys",
			"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
			"response_types_supported":              []string{"code", "id_token", "code id_token", "id_token token"},
			"subject_types_supported":               []string{"pairwise"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", func(w http.ResponseWriter, r *http.Request) { t.token(w, r, e) })
}

func base(r *http.Request) string {
	scheme := "https"
	if r.TLS == nil {
		scheme = "http"
	}
	return scheme + "://" + r.Host
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone away
}

func (t *Tokens) tenantOf(r *http.Request) *denial {
	if strings.EqualFold(r.PathValue("tenant"), t.tenant) {
		return nil
	}
	return deny(http.StatusBadRequest, "invalid_request", 90002,
		"Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", r.PathValue("tenant"))
}

// token changes an assertion for an access token.
func (t *Tokens) token(w http.ResponseWriter, r *http.Request, e *Emulator) {
	e.counted(VerbToken)
	c := &call{verb: VerbToken, r: r, host: r.Host}
	if out, struck := e.before(c); struck {
		e.answer(w, r, out)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	identity, audience, denied := t.grant(r, e.o.Clock.Now())
	if denied != nil {
		t.refuse(w, e, denied)
		return
	}
	token, err := t.issue(identity, audience, e.o.Clock.Now())
	if err != nil {
		t.refuse(w, e, deny(http.StatusInternalServerError, "server_error", 90033, "%v", err))
		return
	}
	e.o.Log.Info("issued a token", "client", identity.ClientID)
	life := int(t.lifetime / time.Second)
	write(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token})
}

// refuse answers as Entra does, and counts the refusal by its AADSTS code.
func (t *Tokens) refuse(w http.ResponseWriter, e *Emulator, d *denial) {
	code := "AADSTS" + strconv.Itoa(d.code)
	e.rejected(code)
	e.mu.Lock()
	trace := e.unique()
	e.mu.Unlock()
	now := e.o.Clock.Now().UTC().Format("2006-01-02 15:04:05Z")
	e.o.Log.Info("refused a token", "code", code, "why", d.text)
	write(w, d.status, map[string]any{
		"error": d.kind, "error_codes": []int{d.code}, "timestamp": now, "trace_id": trace, "correlation_id": trace,
		"error_description": fmt.Sprintf("%s: %s Trace ID: %s Correlation ID: %s Timestamp: %s", code, d.text, trace, trace, now),
		"error_uri":         "https://login.microsoftonline.com/error?code=" + strconv.Itoa(d.code),
	})
}

// grant checks a request for a token: what it may have, and for whom.
func (t *Tokens) grant(r *http.Request, now time.Time) (Identity, string, *denial) {
	if d := t.tenantOf(r); d != nil {
		return Identity{}, "", d
	}
	if err := r.ParseForm(); err != nil {
		return Identity{}, "", deny(http.StatusBadRequest, "invalid_request", 900144, "The request body cannot be read: %v.", err)
	}
	form := r.PostForm
	switch {
	case form.Get("grant_type") != "client_credentials":
		return Identity{}, "", deny(http.StatusBadRequest, "unsupported_grant_type", 70003,
			"The app requested an unsupported grant type '%s'.", form.Get("grant_type"))
	case form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
		return Identity{}, "", deny(http.StatusUnauthorized, "invalid_client", 7000216,
			"'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.")
	}
	audience, def := "", false
	for scope := range strings.FieldsSeq(form.Get("scope")) {
		if before, ok := strings.CutSuffix(scope, "/.default"); ok {
			audience, def = before, true
		}
	}
	if !def || !strings.HasPrefix(audience, "https://") {
		return Identity{}, "", deny(http.StatusBadRequest, "invalid_scope", 70011,
			"The provided value for the input parameter 'scope' is not valid. The scope %s is not valid.", form.Get("scope"))
	}
	identity, known := t.identity(form.Get("client_id"))
	if !known {
		return Identity{}, "", deny(http.StatusBadRequest, "unauthorized_client", 700016,
			"Application with identifier '%s' was not found in the directory '%s'.", form.Get("client_id"), t.tenant)
	}
	return identity, audience, t.assertion(r.Context(), form.Get("client_assertion"), identity, now)
}

const fix = "Please check your federated identity credential Subject, Audience and Issuer against the presented assertion. " +
	"https://learn.microsoft.com/entra/workload-id/workload-identity-federation"

// assertion verifies a projected service-account token.
func (t *Tokens) assertion(ctx context.Context, text string, i Identity, now time.Time) *denial {
	var claims jwt.RegisteredClaims
	issuer, err := t.keys.Issuer(ctx)
	if err != nil {
		return deny(http.StatusServiceUnavailable, "temporarily_unavailable", 50126, "The issuer's metadata cannot be read: %v.", err)
	}
	if _, _, err := jwt.NewParser().ParseUnverified(text, &claims); err != nil {
		return deny(http.StatusUnauthorized, "invalid_client", 50027, "JWT token is invalid or malformed.")
	}
	if claims.Issuer != issuer {
		return deny(http.StatusUnauthorized, "invalid_client", 700211,
			"No matching federated identity record found for presented assertion issuer '%s'. %s", claims.Issuer, fix)
	}
	_, err = jwt.ParseWithClaims(text, &claims, func(token *jwt.Token) (any, error) {
		id, _ := token.Header["kid"].(string)
		return t.keys.Key(ctx, id)
	}, jwt.WithValidMethods([]string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"}),
		jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithExpirationRequired())
	switch {
	case errors.Is(err, jwt.ErrTokenExpired) || errors.Is(err, jwt.ErrTokenNotValidYet) || errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return deny(http.StatusUnauthorized, "invalid_client", 700024,
			"Client assertion is not within its valid time range. Current time: %s, expiry time of assertion %s.",
			now.UTC().Format(time.RFC3339), claims.ExpiresAt.UTC().Format(time.RFC3339))
	case err != nil:
		return deny(http.StatusUnauthorized, "invalid_client", 50013, "Assertion failed signature validation. [Reason - %v]", err)
	case !slices.Contains(claims.Audience, Audience):
		return deny(http.StatusUnauthorized, "invalid_client", 700212,
			"No matching federated identity record found for presented assertion audience '%s'. %s", strings.Join(claims.Audience, " "), fix)
	case !slices.Contains(i.Subjects, claims.Subject):
		return deny(http.StatusUnauthorized, "invalid_client", 700213,
			"No matching federated identity record found for presented assertion subject '%s'. %s", claims.Subject, fix)
	}
	return nil
}

package aks

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"kaito.sh/kaito/internal/node"
)

// Classify understands an error of Azure's client; see node.Provider.
func (p *Provider) Classify(err error) *node.Error {
	if err == nil {
		return nil
	}
	return p.understand(err, node.Offer{})
}

// fail is an error of ours, or the context's where that ended.
func (p *Provider) fail(ctx context.Context, err error, tried string, offer node.Offer) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", tried, ctx.Err())
	}
	e := p.understand(err, offer)
	e.Tried = tried
	return e
}

// understand classifies an error that an offer met, and says what can be done.
func (p *Provider) understand(err error, offer node.Offer) *node.Error {
	var ours *node.Error
	if errors.As(err, &ours) {
		e := *ours
		return &e
	}
	a := read(err)
	e := &node.Error{Class: a.class(), Code: a.code(), Message: a.said(), RetryAfter: a.retryAfter, Err: err}
	e.Zero = e.Class == node.Quota && limitZero.MatchString(a.text)
	if e.Class == node.Throttled && e.RetryAfter == 0 {
		e.RetryAfter = defaultWait
	}
	e.Fix = p.fix(e, a, offer)
	return e
}

// answer is what an error says, whoever made it.
type answer struct {
	// status is that of the answer, 0 where none came. An operation that failed has 200.
	status int
	// codes are Azure's, the outermost first; text is all of its words.
	codes []string
	text  string
	// class is set where the kind of the error decides.
	decided    node.Class
	retryAfter time.Duration
}

// read takes an error apart.
func read(err error) answer {
	var re *azcore.ResponseError
	if errors.As(err, &re) {
		a := answer{status: re.StatusCode}
		var body []byte
		if re.RawResponse != nil && re.RawResponse.Body != nil {
			body, _ = runtime.Payload(re.RawResponse) // what cannot be read says nothing
			body = body[:min(len(body), longestBody)]
			a.retryAfter = retryAfter(re.RawResponse.Header)
		}
		a.codes, a.text = parse(re.ErrorCode, body)
		a.text = strings.ToValidUTF8(a.text, "")
		return a
	}
	a := answer{text: err.Error(), decided: node.Transient}
	var call *url.Error
	if errors.As(err, &call) {
		a.text = "Azure could not be reached: " + call.Err.Error()
	}
	var failed *azidentity.AuthenticationFailedError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &failed):
		if failed.RawResponse != nil {
			a.status = failed.RawResponse.StatusCode
			a.text = entra(failed)
		}
		// Without an answer the authority was not reached, or the token's file was not read.
		if a.status/100 == 4 && a.status != http.StatusTooManyRequests || isFile(err) {
			a.decided = node.Auth
		}
	case isFile(err), errors.As(err, &authority):
		a.decided = node.Auth
	}
	return a
}

// longestBody is how much of an answer is looked at.
const longestBody = 32 << 10

// isFile says whether a file could not be read: the service account's token.
func isFile(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "no such file or directory")
}

// code is the one that decides, or the outermost.
func (a answer) code() string {
	for _, code := range a.codes {
		if _, known := codes()[strings.ToLower(code)]; known {
			return code
		}
	}
	if len(a.codes) > 0 {
		return a.codes[0]
	}
	return ""
}

// class is the meaning: by code, then by text where one code has many meanings, then by status.
func (a answer) class() node.Class {
	if a.decided != "" {
		return a.decided
	}
	for _, code := range a.codes {
		if class, known := codes()[strings.ToLower(code)]; known {
			return class
		}
	}
	for _, rule := range texts() {
		if rule.says.MatchString(a.text) {
			return rule.class
		}
	}
	return statusClass(a.status)
}

// statusClass is the meaning of an answer whose code is unknown.
func statusClass(status int) node.Class {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return node.Auth
	case status == http.StatusNotFound:
		return node.NotFound
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return node.Conflict
	case status == http.StatusTooManyRequests:
		return node.Throttled
	case status == http.StatusRequestTimeout:
		return node.Transient
	case status/100 == 4:
		return node.Invalid
	default:
		return node.Transient
	}
}

// codes are those of Azure that have one meaning, in lower case.
func codes() map[string]node.Class {
	all := map[string]node.Class{}
	for class, names := range map[node.Class][]string{
		node.SKUUnavailable: {
			"SkuNotAvailable", "VMSizeNotSupported", "NotAvailableForSubscription", "SkuNotSupported", "AvailabilityZoneNotSupported",
			"RequestedSizeNotFound",
		},
		node.Capacity: {
			"AllocationFailed", "AllocationFailure", "ZonalAllocationFailed", "OverconstrainedAllocationRequest",
			"OverconstrainedZonalAllocationRequest", "AKSCapacityError", "AKSCapacityHeavyUsage", "OutOfCapacity",
		},
		node.Quota: {
			"QuotaExceeded", "ErrCode_InsufficientVCPUQuota", "InsufficientVCPUQuota", "MaxAgentPoolCountReached", "SubnetIsFull",
			"InsufficientSubnetSize", "PublicIPCountLimitReached",
		},
		node.Throttled: {
			"TooManyRequests", "SubscriptionRequestsThrottled", "ResourceRequestsThrottled", "TenantRequestsThrottled",
			"OperationNotAllowed_TooManyRequests", "TooManyRequestsReceived",
		},
		node.Conflict:  {"OperationPreempted", "PreconditionFailed", "EtagMismatch", "AnotherOperationInProgress", "ConcurrentMutatingOperationRequested"},
		node.Transient: {"InternalServerError", "InternalOperationError", "ServiceUnavailable", "GatewayTimeout", "BadGateway", "RetryableError", "OperationTimedOut"},
		node.Auth: {
			"AuthorizationFailed", "LinkedAuthorizationFailed", "AuthenticationFailed", "InvalidAuthenticationToken",
			"InvalidAuthenticationTokenTenant", "InvalidAuthenticationTokenAudience", "ExpiredAuthenticationToken",
		},
		node.NotFound: {"ResourceNotFound", "ResourceGroupNotFound", "ParentResourceNotFound", "SubscriptionNotFound", "NotFound"},
		node.Invalid:  {"RequestDisallowedByPolicy", "PropertyChangeNotAllowed", "InvalidApiVersionParameter", "MissingApiVersionParameter"},
	} {
		for _, name := range names {
			all[strings.ToLower(name)] = class
		}
	}
	return all
}

// text is how a meaning is recognised where a code has several: OperationNotAllowed is said
// of quotas and of a cluster that is busy, BadRequest of everything.
type text struct {
	says  *regexp.Regexp
	class node.Class
}

var (
	limitZero = regexp.MustCompile(`(?i)current limit: 0\b`)

	saysForbidden = regexp.MustCompile(`(?i)does not have (permission|authorization) to perform action`)
	saysThrottled = regexp.MustCompile(`(?i)too many requests|requests? (is|are) being throttled`)
	saysQuota     = regexp.MustCompile(`(?i)exceed\w* (approved )?.{0,80}\b(quota|cores)\b|insufficient .{0,40}quota|exceeding quota limits|maximum (number|count) of (agent|node) ?pools`)
	saysBusy      = regexp.MustCompile(`(?i)\bin progress\b|overr?idd?en and canceled by a later operation|aks-pending-operation|please wait for it to finish`)
	saysNotSold   = regexp.MustCompile(`(?i)vm size .{0,120}is not (allowed|supported|available)|is not available in (the )?(location|region)|size has been retired|does not have enough cpu/memory`)
	saysCapacity  = regexp.MustCompile(`(?i)allocation failed|sufficient capacity|insufficient capacity`)
)

func texts() []text {
	return []text{
		{saysForbidden, node.Auth},
		{saysThrottled, node.Throttled},
		{saysQuota, node.Quota},
		{saysBusy, node.Conflict},
		{saysNotSold, node.SKUUnavailable},
		{saysCapacity, node.Capacity},
	}
}

// aboutCluster says whether a 404 is about the cluster, its group or its subscription, not
// about one of its pools.
func aboutCluster(re *azcore.ResponseError) bool {
	a := read(re)
	for _, code := range a.codes {
		switch strings.ToLower(code) {
		case "resourcegroupnotfound", "parentresourcenotfound", "subscriptionnotfound", "invalidresourcetype", "invalidsubscriptionid":
			return true
		case "resourcenotfound":
			return !strings.Contains(strings.ToLower(a.text), "agentpools/")
		}
	}
	return false
}

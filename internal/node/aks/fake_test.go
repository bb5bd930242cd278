package aks_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6/fake"
	testclock "k8s.io/utils/clock/testing"

	"kaito.sh/kaito/internal/armemulator/armemulatortest"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/aks"
	"kaito.sh/kaito/internal/node/nodetest"
)

// sdk is a cloud behind the fake server that comes with Azure's client. That server cannot
// say how far an operation is by time, so polls are answered here, in its own protocol.
type sdk struct {
	server *fake.AgentPoolsServer
	clock  *testclock.FakeClock

	mu               sync.Mutex
	fault            nodetest.Fault
	calls, creations int
	pools            map[string]*armcontainerservice.AgentPool
	operations       map[string]string // of creations, by the pool's name
	failing          map[string]bool
	words            map[string]string // by code: the fake server sends codes alone
}

func newSDK() *sdk {
	s := &sdk{
		clock: testclock.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)),
		pools: map[string]*armcontainerservice.AgentPool{}, operations: map[string]string{}, failing: map[string]bool{}, words: map[string]string{},
	}
	s.server = &fake.AgentPoolsServer{
		Get: s.get, NewListPager: s.list, BeginCreateOrUpdate: s.put, BeginDelete: s.remove, BeginAbortLatestOperation: s.abort,
	}
	return s
}

func (s *sdk) provider(t *testing.T) node.Provider {
	t.Helper()
	p, err := aks.New(aks.Options{
		Subscription: armemulatortest.Subscription, Group: group, Cluster: cluster, Credential: nobody{}, Clock: s.clock,
		Client: arm.ClientOptions{ClientOptions: policy.ClientOptions{Transport: &process{sdk: s, reads: fake.NewAgentPoolsServerTransport(s.server)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// refused is an answer that refuses, as the client would make it of Azure's.
func (s *sdk) refused(req *http.Request, status int, code, message string, header ...string) error {
	body := `{"error":{"code":"` + code + `","message":"` + message + `"}}`
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &azcore.ResponseError{
		StatusCode: status, ErrorCode: code,
		RawResponse: &http.Response{StatusCode: status, Header: h, Request: req, Body: io.NopCloser(strings.NewReader(body))},
	}
}

// process is one client of it: pages of a list are counted for each.
type process struct {
	*sdk
	reads policy.Transporter
}

// Do is what the client sends calls to.
func (s *process) Do(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	fault := s.fault
	if fault != nodetest.Unreachable {
		s.calls++
	}
	s.mu.Unlock()
	switch fault {
	case nodetest.Throttled:
		return nil, s.refused(req, 429, "SubscriptionRequestsThrottled", "Number of requests exceeded the limit. Please try again after '17' seconds.", "Retry-After", "17")
	case nodetest.Refused:
		return nil, s.refused(req, 403, "AuthorizationFailed", "The client does not have authorization to perform action 'x' over scope 'y'.")
	case nodetest.NoCluster:
		return nil, s.refused(req, 404, "ResourceNotFound", "The Resource 'Microsoft.ContainerService/managedClusters/gpu' under resource group 'models' was not found.")
	case nodetest.Unreachable:
		return nil, io.ErrUnexpectedEOF
	}
	resp, err := s.answer(req)
	if err != nil {
		return nil, err
	}
	resp.Header.Set("Date", s.clock.Now().UTC().Format(http.TimeFormat))
	if fault == nodetest.AnswerLost && req.Method != http.MethodGet {
		return nil, io.ErrUnexpectedEOF
	}
	return resp, nil
}

func (s *process) answer(req *http.Request) (*http.Response, error) {
	const poll = "/get/fake/status"
	if !strings.HasSuffix(req.URL.Path, poll) {
		return s.asked(req)
	}
	path := strings.Split(strings.TrimSuffix(req.URL.Path, poll), "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	status, body := s.operations[path[len(path)-1]], "{}"
	if status == "Failed" {
		body = `{"error":{"code":"AllocationFailed","message":"Allocation failed. We do not have sufficient capacity for the requested VM size in this region."}}`
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Request: req, Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"Fake-Poller-Status": {status}, "Content-Type": {"application/json"}},
	}, nil
}

// asked lets the fake server answer, and adds the words of a refusal. For changes it is a
// new one: it goes on with an operation of the same address until it was polled to its end.
func (s *process) asked(req *http.Request) (*http.Response, error) {
	server := s.reads
	if req.Method != http.MethodGet {
		server = fake.NewAgentPoolsServerTransport(s.server)
	}
	resp, err := server.Do(req)
	var re *azcore.ResponseError
	if errors.As(err, &re) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return nil, s.refused(req, re.StatusCode, re.ErrorCode, s.words[re.ErrorCode])
	}
	return resp, err
}

// no is a refusal of the fake server's.
type no struct {
	status      int
	code, words string
}

// say refuses; mu is held.
func (s *sdk) say(e *azfake.ErrorResponder, n *no) {
	s.words[n.code] = n.words
	e.SetResponseError(n.status, n.code)
}

func (s *sdk) get(_ context.Context, _, _, name string, _ *armcontainerservice.AgentPoolsClientGetOptions) (resp azfake.Responder[armcontainerservice.AgentPoolsClientGetResponse], errResp azfake.ErrorResponder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, there := s.pools[name]
	if !there {
		s.say(&errResp, &no{404, "NotFound", "Agent Pool not found"})
		return
	}
	resp.SetResponse(http.StatusOK, armcontainerservice.AgentPoolsClientGetResponse{AgentPool: *copied(one)}, nil)
	return
}

func copied(one *armcontainerservice.AgentPool) *armcontainerservice.AgentPool {
	c, properties := *one, *one.Properties
	c.Properties = &properties
	return &c
}

func (s *sdk) list(_, _ string, _ *armcontainerservice.AgentPoolsClientListOptions) (resp azfake.PagerResponder[armcontainerservice.AgentPoolsClientListResponse]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*armcontainerservice.AgentPool
	for _, one := range s.pools {
		all = append(all, copied(one))
	}
	half := len(all) / 2 // two pages
	for _, page := range [][]*armcontainerservice.AgentPool{all[:half], all[half:]} {
		resp.AddPage(http.StatusOK, armcontainerservice.AgentPoolsClientListResponse{AgentPoolListResult: armcontainerservice.AgentPoolListResult{Value: page}}, nil)
	}
	return
}

// change says why a change may not be; mu is held.
func (s *sdk) change(name string) *no {
	if s.fault == nodetest.Busy {
		return &no{409, "OperationNotAllowed", "Operation is not allowed: Another operation (Updating) is in progress, please wait for it to finish before starting a new operation."}
	}
	one := s.pools[name]
	if one == nil {
		return nil
	}
	if state := *one.Properties.ProvisioningState; state != "Succeeded" && state != "Failed" && state != "Canceled" {
		return &no{409, "OperationNotAllowed", "Operation is not allowed: Another agentpool operation (" + name + " - " + state + ") is in progress."}
	}
	return nil
}

func (s *sdk) put(_ context.Context, _, _, name string, body armcontainerservice.AgentPool, o *armcontainerservice.AgentPoolsClientBeginCreateOrUpdateOptions) (resp azfake.PollerResponder[armcontainerservice.AgentPoolsClientCreateOrUpdateResponse], errResp azfake.ErrorResponder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	quota := func(limit string) *no {
		return &no{409, "OperationNotAllowed", "Operation could not be completed as it results in exceeding approved StandardNCADSA100v4Family Cores quota. Additional details - Location: eastus, Current Limit: " + limit + ", Current Usage: " + limit + ", Additional Required: 24."}
	}
	var refused *no
	switch {
	case s.fault == nodetest.QuotaZero:
		refused = quota("0")
	case s.fault == nodetest.QuotaFull:
		refused = quota("24")
	case s.fault == nodetest.NoCapacity:
		refused = &no{409, "AllocationFailed", "Allocation failed. We do not have sufficient capacity for the requested VM size in this region."}
	case s.fault == nodetest.NotSold:
		refused = &no{400, "BadRequest", "The VM size of Standard_NC24ads_A100_v4 is not allowed in your subscription in location 'eastus'."}
	case s.fault == nodetest.Retired && *body.Properties.VMSize == "Standard_NC6s_v3":
		refused = &no{400, "VMSizeNotSupported", "Virtual Machine size: 'Standard_NC6s_v3' is not supported in location 'eastus': the size has been retired."}
	case s.pools[name] != nil && o != nil && o.IfNoneMatch != nil:
		refused = &no{412, "PreconditionFailed", "The resource exists already."}
	default:
		refused = s.change(name)
	}
	if refused != nil {
		s.say(&errResp, refused)
		return
	}
	s.creations++
	body.Name = &name
	body.Properties.ProvisioningState, body.Properties.ETag = to.Ptr("Creating"), to.Ptr(`"1"`)
	s.pools[name], s.operations[name], s.failing[name] = &body, "InProgress", s.fault == nodetest.CreationFails
	resp.AddNonTerminalResponse(http.StatusCreated, nil)
	resp.SetTerminalResponse(http.StatusOK, armcontainerservice.AgentPoolsClientCreateOrUpdateResponse{AgentPool: body}, nil)
	return
}

func (s *sdk) remove(_ context.Context, _, _, name string, o *armcontainerservice.AgentPoolsClientBeginDeleteOptions) (resp azfake.PollerResponder[armcontainerservice.AgentPoolsClientDeleteResponse], errResp azfake.ErrorResponder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := s.change(name)
	if one := s.pools[name]; one != nil && o != nil && o.IfMatch != nil && *o.IfMatch != *one.Properties.ETag {
		refused = &no{412, "PreconditionFailed", "Etag does not match."}
	}
	if refused != nil {
		s.say(&errResp, refused)
		return
	}
	if one := s.pools[name]; one != nil {
		one.Properties.ProvisioningState = to.Ptr("Deleting")
	}
	resp.AddNonTerminalResponse(http.StatusAccepted, nil)
	resp.SetTerminalResponse(http.StatusNoContent, armcontainerservice.AgentPoolsClientDeleteResponse{}, nil)
	return
}

func (s *sdk) abort(_ context.Context, _, _, name string, _ *armcontainerservice.AgentPoolsClientBeginAbortLatestOperationOptions) (resp azfake.PollerResponder[armcontainerservice.AgentPoolsClientAbortLatestOperationResponse], errResp azfake.ErrorResponder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[name].Properties.ProvisioningState, s.operations[name] = to.Ptr("Canceled"), "Canceled"
	resp.AddNonTerminalResponse(http.StatusAccepted, nil)
	resp.SetTerminalResponse(http.StatusNoContent, armcontainerservice.AgentPoolsClientAbortLatestOperationResponse{}, nil)
	return
}

func (s *sdk) locked(do func()) { s.mu.Lock(); defer s.mu.Unlock(); do() }

func (s *sdk) Inject(f nodetest.Fault) { s.locked(func() { s.fault = f }) }
func (s *sdk) Clear()                  { s.Inject("") }

func (s *sdk) Settle() {
	s.clock.Step(time.Hour)
	s.locked(func() {
		for name, one := range s.pools {
			switch state := *one.Properties.ProvisioningState; {
			case state == "Deleting" && s.fault != nodetest.DeletionSlow:
				delete(s.pools, name)
			case state == "Creating" && s.failing[name]:
				one.Properties.ProvisioningState, s.operations[name] = to.Ptr("Failed"), "Failed"
			case state == "Creating" && s.fault != nodetest.CreationStuck:
				one.Properties.ProvisioningState, s.operations[name] = to.Ptr("Succeeded"), "Succeeded"
			}
		}
	})
}

func (s *sdk) Calls() (n int)     { s.locked(func() { n = s.calls }); return n }
func (s *sdk) Creations() (n int) { s.locked(func() { n = s.creations }); return n }

func (s *sdk) Put(key node.Key, owner node.Owner) {
	one := &armcontainerservice.AgentPool{Name: to.Ptr(string(key)), Properties: &armcontainerservice.ManagedClusterAgentPoolProfileProperties{
		VMSize: to.Ptr("Standard_D4s_v5"), ProvisioningState: to.Ptr("Succeeded"), ETag: to.Ptr(`"7"`), Tags: map[string]*string{},
	}}
	for name, value := range map[string]string{"kaito-cluster": owner.Cluster, "kaito-claim-uid": owner.ClaimUID, "kaito-claim-name": owner.ClaimName} {
		if value != "" {
			one.Properties.Tags[name] = &value
		}
	}
	s.locked(func() { s.pools[string(key)] = one })
}
func (s *sdk) Vanish(key node.Key) { s.locked(func() { delete(s.pools, string(key)) }) }
func (s *sdk) Present(key node.Key) (there bool) {
	s.locked(func() { _, there = s.pools[string(key)] })
	return there
}

func TestTheContractOverTheSDKsOwnFake(t *testing.T) {
	t.Parallel()
	nodetest.Run(t, func(t *testing.T) nodetest.Harness {
		s := newSDK()
		return nodetest.Harness{Cloud: s, Start: func() node.Provider { return s.provider(t) }}
	})
}

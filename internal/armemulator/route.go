package armemulator

import (
	"net/http"
	"strings"
)

// Verb is one call that the emulator understands.
type Verb string

// The verbs.
const (
	VerbPut            Verb = "put"
	VerbGet            Verb = "get"
	VerbList           Verb = "list"
	VerbDelete         Verb = "delete"
	VerbAbort          Verb = "abort"
	VerbDeleteMachines Verb = "deleteMachines"
	VerbListMachines   Verb = "listMachines"
	VerbGetMachine     Verb = "getMachine"
	VerbGetCluster     Verb = "getCluster"
	VerbListClusters   Verb = "listClusters"
	VerbPoll           Verb = "poll"
	VerbToken          Verb = "token"
)

// Verbs are all of them.
func Verbs() []Verb {
	return []Verb{
		VerbPut, VerbGet, VerbList, VerbDelete, VerbAbort, VerbDeleteMachines, VerbListMachines, VerbGetMachine,
		VerbGetCluster, VerbListClusters, VerbPoll, VerbToken,
	}
}

// call is one request, understood.
type call struct {
	verb Verb
	// subscription, group and cluster are as the client wrote them.
	subscription, group, cluster string
	pool, machine, operation     string
	// result asks for the outcome of an operation instead of its status.
	result bool
	want   *wanted // of a put
	r      *http.Request
	body   []byte
	host   string
}

// action is the permission that a call needs, in Azure's words.
func (c *call) action() string {
	const clusters = "Microsoft.ContainerService/managedClusters"
	switch c.verb {
	case VerbPut:
		return clusters + "/agentPools/write"
	case VerbGet, VerbList:
		return clusters + "/agentPools/read"
	case VerbDelete:
		return clusters + "/agentPools/delete"
	case VerbAbort:
		return clusters + "/agentPools/abort/action"
	case VerbDeleteMachines:
		return clusters + "/agentPools/deleteMachines/action"
	case VerbListMachines, VerbGetMachine:
		return clusters + "/agentPools/machines/read"
	case VerbPoll, VerbToken:
		return ""
	default:
		return clusters + "/read"
	}
}

// route understands a path; segments are compared in any case of letters, as Resource
// Manager does.
func route(r *http.Request) (*call, bool) {
	c := &call{r: r, host: r.Host}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if !word(parts, 0, "subscriptions") || len(parts) < 2 {
		return nil, false
	}
	c.subscription = parts[1]
	rest := parts[2:]
	if word(rest, 0, "providers") && word(rest, 1, "Microsoft.ContainerService") {
		return c, c.subscriptionLevel(rest[2:])
	}
	if !word(rest, 0, "resourceGroups") || len(rest) < 5 || !word(rest, 2, "providers") ||
		!word(rest, 3, "Microsoft.ContainerService") || !word(rest, 4, "managedClusters") {
		return nil, false
	}
	c.group = rest[1]
	return c, c.clusterLevel(rest[5:])
}

func word(parts []string, i int, want string) bool {
	return i < len(parts) && strings.EqualFold(parts[i], want)
}

func (c *call) subscriptionLevel(rest []string) bool {
	if c.r.Method != http.MethodGet {
		return false
	}
	switch {
	case len(rest) == 1 && word(rest, 0, "managedClusters"):
		c.verb = VerbListClusters
	case len(rest) == 4 && word(rest, 0, "locations") && word(rest, 2, "operations"):
		c.verb, c.operation = VerbPoll, rest[3]
	case len(rest) == 4 && word(rest, 0, "locations") && word(rest, 2, "operationresults"):
		c.verb, c.operation, c.result = VerbPoll, rest[3], true
	default:
		return false
	}
	return true
}

func (c *call) clusterLevel(rest []string) bool {
	get := c.r.Method == http.MethodGet
	if len(rest) == 0 {
		c.verb = VerbListClusters
		return get
	}
	c.cluster = rest[0]
	switch {
	case len(rest) == 1:
		c.verb = VerbGetCluster
		return get
	case !word(rest, 1, "agentPools"):
		return false
	case len(rest) == 2:
		c.verb = VerbList
		return get
	}
	c.pool = rest[2]
	return c.poolLevel(rest[3:])
}

func (c *call) poolLevel(rest []string) bool {
	if len(rest) == 0 {
		verb, known := map[string]Verb{http.MethodGet: VerbGet, http.MethodPut: VerbPut, http.MethodDelete: VerbDelete}[c.r.Method]
		c.verb = verb
		return known
	}
	get, post := c.r.Method == http.MethodGet, c.r.Method == http.MethodPost
	switch {
	case len(rest) == 1 && word(rest, 0, "abort"):
		c.verb = VerbAbort
		return post
	case len(rest) == 1 && word(rest, 0, "deleteMachines"):
		c.verb = VerbDeleteMachines
		return post
	case len(rest) == 1 && word(rest, 0, "machines"):
		c.verb = VerbListMachines
		return get
	case len(rest) == 2 && word(rest, 0, "machines"):
		c.verb, c.machine = VerbGetMachine, rest[1]
		return get
	}
	return false
}

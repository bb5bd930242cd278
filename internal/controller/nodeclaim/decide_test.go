package nodeclaim

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

func TestWhoseAClaimIs(t *testing.T) {
	t.Parallel()
	other := func(c *nodeclaim.NodeClaim) {
		c.Spec.NodeClassRef = &nodeclaim.ClassRef{Group: "karpenter.azure.com", Kind: "AKSNodeClass", Name: "default"}
	}
	owned := func(c *nodeclaim.NodeClaim) {
		c.OwnerReferences = []metav1.OwnerReference{{Kind: "NodePool", Name: "gpu"}}
	}
	unlabelled := func(c *nodeclaim.NodeClaim) { c.Labels = nil }
	for name, c := range map[string]struct {
		edits []func(*nodeclaim.NodeClaim)
		want  bool
	}{
		"our class":                                      {[]func(*nodeclaim.NodeClaim){unlabelled}, true},
		"our class, of a NodePool":                       {[]func(*nodeclaim.NodeClaim){owned}, true},
		"another class and our label":                    {[]func(*nodeclaim.NodeClaim){other}, true},
		"another class and our label, of a NodePool":     {[]func(*nodeclaim.NodeClaim){other, owned}, false},
		"another class without our label":                {[]func(*nodeclaim.NodeClaim){other, unlabelled}, false},
		"no class, as claims of old, and our label":      {[]func(*nodeclaim.NodeClaim){func(c *nodeclaim.NodeClaim) { c.Spec.NodeClassRef = nil }}, true},
		"a class of our kind's name and another's group": {[]func(*nodeclaim.NodeClaim){unlabelled, func(c *nodeclaim.NodeClaim) { c.Spec.NodeClassRef.Group = "x" }}, false},
	} {
		if got := nodeclaim.Ours(claim("ws1", c.edits...)); got != c.want {
			t.Errorf("%s: ours is %v", name, got)
		}
	}
}

// scene is a claim somewhere in its life.
func scene(edits ...func(*observed)) observed {
	c := claim("ws1")
	key := node.KeyOf(cluster, string(c.UID))
	o := observed{
		claim: c, key: key, owner: node.Owner{Cluster: cluster, ClaimUID: string(c.UID), ClaimName: c.Name}, protected: true,
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), phase: phaseLaunch, deadlines: DefaultDeadlines(),
	}
	for _, edit := range edits {
		edit(&o)
	}
	return o
}

func asked(o *observed) {
	o.book.attempt = &attempt{Offer: node.Offer{InstanceType: typeA, CapacityType: "on-demand", GPUs: 1}, Asked: o.now}
	o.book.attempts = 1
}

func ended(o *observed) { asked(o); o.book.attempt.Ended = overdue }

func in(p phase) func(*observed) { return func(o *observed) { o.phase = p } }

func conditionIs(kind, reason string, status metav1.ConditionStatus) func(*observed) {
	return func(o *observed) {
		conditions := nodeclaim.Conditions(o.claim)
		meta.SetStatusCondition(&conditions, metav1.Condition{Type: kind, Status: status, Reason: reason})
		nodeclaim.SetConditions(o.claim, conditions)
	}
}

func TestWhatAPassDoes(t *testing.T) {
	t.Parallel()
	waiting := func(d time.Duration) func(*observed) {
		return func(o *observed) { o.book.history.Until = o.now.Add(d) }
	}
	torn := func(o *observed) { o.protected = false }
	for name, c := range map[string]struct {
		edits []func(*observed)
		want  step
	}{
		"a new claim is launched":                                {[]func(*observed){torn}, stepLaunch},
		"a claim that was asked for is followed":                 {[]func(*observed){asked}, stepFollow},
		"what is left of an attempt is cleared":                  {[]func(*observed){ended}, stepClear},
		"what is left is cleared even where the claim was ready": {[]func(*observed){ended, in(phaseReady)}, stepClear},
		"a claim that is ready rests":                            {[]func(*observed){asked, in(phaseReady)}, stepRest},
		"a claim whose offers were all refused waits":            {[]func(*observed){waiting(time.Minute)}, stepRest},
		"when the wait is over they are tried again":             {[]func(*observed){waiting(-time.Second)}, stepLaunch},
		"a wait that no clock of ours can have written is none":  {[]func(*observed){waiting(10 * time.Hour)}, stepLaunch},
		"what is final rests":                                    {[]func(*observed){func(o *observed) { o.book.history.Final = true }}, stepRest},
		"a finalizer that was torn off comes back":               {[]func(*observed){asked, torn}, stepProtect},
		"also on a claim that is ready":                          {[]func(*observed){torn, in(phaseReady)}, stepProtect},
		"a deleted claim is finalized":                           {[]func(*observed){asked, in(phaseDeletion)}, stepFinalize},
		"also one that was never asked for":                      {[]func(*observed){in(phaseDeletion)}, stepFinalize},
		"also one that has something left of an attempt":         {[]func(*observed){ended, in(phaseDeletion)}, stepFinalize},
		"a deleted claim without our finalizer is not ours":      {[]func(*observed){in(phaseDeletion), torn}, stepNone},
	} {
		if got := next(scene(c.edits...)); got != c.want {
			t.Errorf("%s: it does %s, want %s", name, got, c.want)
		}
	}
}

// joined is a node of the scene's machine.
func joined(o observed, edits ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "n1", Labels: map[string]string{nodeclaim.LabelKey: string(o.key)}},
		Spec:       corev1.NodeSpec{ProviderID: "sim://1"},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")},
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
	for _, edit := range edits {
		edit(n)
	}
	return n
}

func withNode(edits ...func(*corev1.Node)) func(*observed) {
	return func(o *observed) { o.nodes = append(o.nodes, joined(*o, edits...)) }
}

// verdict is a decision in short.
type verdict struct {
	Launched, Registered, Initialized string
	Ended                             ending
	Again                             bool
	Node                              bool
}

func inShort(d decision) verdict {
	v := verdict{Again: d.again, Node: d.node != nil}
	for to, c := range map[*string]metav1.Condition{&v.Launched: d.launched, &v.Registered: d.registered, &v.Initialized: d.initialized} {
		*to = string(c.Status) + "/" + c.Reason
	}
	if d.book.open() {
		v.Ended = d.book.attempt.Ended
	}
	return v
}

func TestWhatBecomesOfAnAttempt(t *testing.T) {
	t.Parallel()
	at := func(state node.State) func(observed) answer {
		return func(o observed) answer {
			return answer{machine: node.Observed{Key: o.key, State: state, Owner: o.owner, ProviderID: map[bool]string{true: "sim://1"}[state == node.Ready]}}
		}
	}
	failing := func(class node.Class) func(observed) answer {
		return func(observed) answer { return answer{err: &node.Error{Class: class, Message: "no"}} }
	}
	anothers := func(o observed) answer { return answer{machine: node.Observed{Key: o.key, State: node.Ready}} }
	spent := func(d time.Duration) func(*observed) { return func(o *observed) { o.spent = d } }
	launched, registered := conditionIs("Launched", "Launched", "True"), conditionIs("Registered", "Registered", "True")
	const none = "Unknown/NodeNotJoined"
	noGPU := func(n *corev1.Node) { n.Status.Allocatable = nil }
	for name, c := range map[string]struct {
		edits  []func(*observed)
		answer func(observed) answer
		want   verdict
	}{
		"it is being made":                          {nil, at(node.Creating), verdict{Launched: "Unknown/Creating", Registered: none, Initialized: none}},
		"it takes too long":                         {[]func(*observed){spent(31 * time.Minute)}, at(node.Creating), verdict{Launched: "Unknown/LaunchTimeout", Registered: none, Initialized: none, Ended: overdue}},
		"it is made":                                {nil, at(node.Ready), verdict{Launched: launchedNow, Registered: none, Initialized: none}},
		"it is made and its node is whole":          {[]func(*observed){withNode()}, at(node.Ready), verdict{Launched: launchedNow, Registered: "True/Registered", Initialized: "True/Initialized", Node: true}},
		"its node lacks GPUs":                       {[]func(*observed){withNode(noGPU)}, at(node.Ready), verdict{Launched: launchedNow, Registered: "True/Registered", Initialized: "Unknown/GPUNotReady", Node: true}},
		"its node has lacked GPUs for too long":     {[]func(*observed){in(phaseInitialization), launched, registered, spent(21 * time.Minute), withNode(noGPU)}, at(node.Ready), verdict{Launched: "Unknown/GPUNotReady", Registered: none, Initialized: none, Ended: overdue}},
		"a long launch is no long initialization":   {[]func(*observed){spent(29 * time.Minute), withNode(noGPU)}, at(node.Ready), verdict{Launched: launchedNow, Registered: "True/Registered", Initialized: "Unknown/GPUNotReady", Node: true}},
		"its node does not come":                    {[]func(*observed){in(phaseRegistration), launched, spent(16 * time.Minute)}, at(node.Ready), verdict{Launched: "Unknown/NodeNotJoined", Registered: none, Initialized: none, Ended: overdue}},
		"its node has left":                         {[]func(*observed){in(phaseInitialization), launched, registered}, at(node.Ready), verdict{Launched: launchedNow, Registered: "True/Registered", Initialized: none}},
		"two nodes claim to be it":                  {[]func(*observed){withNode(), withNode(func(n *corev1.Node) { n.Name = "n2" })}, at(node.Ready), verdict{Launched: launchedNow, Registered: "Unknown/MultipleNodesFound", Initialized: "Unknown/"}},
		"a node of another machine is not taken":    {[]func(*observed){withNode(func(n *corev1.Node) { n.Spec.ProviderID = "sim://2" })}, at(node.Ready), verdict{Launched: launchedNow, Registered: none, Initialized: none}},
		"a node that is being deleted is not taken": {[]func(*observed){withNode(func(n *corev1.Node) { n.DeletionTimestamp = ptr.To(metav1.Unix(1, 0)) })}, at(node.Ready), verdict{Launched: launchedNow, Registered: none, Initialized: none}},
		"it failed":                                 {nil, at(node.Failed), verdict{Launched: "Unknown/CloudUnreachable", Registered: none, Initialized: none, Ended: refused}},
		"it is not there, and was never seen":       {nil, at(node.Absent), verdict{Launched: "Unknown/", Registered: "Unknown/", Initialized: "Unknown/", Again: true}},
		"it is not there, and was being made":       {[]func(*observed){conditionIs("Launched", "Creating", "Unknown")}, at(node.Absent), verdict{Launched: "Unknown/MachineGone", Registered: none, Initialized: none, Ended: overdue}},
		"it is not there, and was made":             {[]func(*observed){in(phaseRegistration), launched}, at(node.Absent), verdict{Launched: "Unknown/MachineGone", Registered: none, Initialized: none, Ended: overdue}},
		"it was refused as busy, and is not there":  {[]func(*observed){conditionIs("Launched", "CloudBusy", "Unknown")}, at(node.Absent), verdict{Launched: "Unknown/CloudBusy", Registered: "Unknown/", Initialized: "Unknown/", Again: true}},
		"somebody removes it":                       {nil, at(node.Deleting), verdict{Launched: "Unknown/Creating", Registered: none, Initialized: none}},
		"it is another's":                           {nil, anothers, verdict{Launched: "False/NameTaken", Registered: none, Initialized: none}},
		"no capacity":                               {nil, failing(node.Capacity), verdict{Launched: "Unknown/CapacityExhausted", Registered: none, Initialized: none, Ended: refused}},
		"no quota":                                  {nil, failing(node.Quota), verdict{Launched: "Unknown/QuotaExceeded", Registered: none, Initialized: none, Ended: refused}},
		"not sold":                                  {nil, failing(node.SKUUnavailable), verdict{Launched: "Unknown/SKUUnavailable", Registered: none, Initialized: none, Ended: refused}},
		"an invalid request":                        {nil, failing(node.Invalid), verdict{Launched: "Unknown/InvalidRequest", Registered: none, Initialized: none, Ended: refused}},
		"a cloud that does not answer":              {nil, failing(node.Transient), verdict{Launched: "Unknown/CloudUnreachable", Registered: none, Initialized: none}},
		"a cloud that throttles":                    {nil, failing(node.Throttled), verdict{Launched: "Unknown/Throttled", Registered: none, Initialized: none}},
		"a cloud that is busy":                      {nil, failing(node.Conflict), verdict{Launched: "Unknown/CloudBusy", Registered: none, Initialized: none}},
		"no rights":                                 {nil, failing(node.Auth), verdict{Launched: "False/AuthFailed", Registered: none, Initialized: none}},
		"no cluster":                                {nil, failing(node.NotFound), verdict{Launched: "False/InvalidRequest", Registered: none, Initialized: none}},
		"not supported":                             {nil, failing(node.Unsupported), verdict{Launched: "False/InvalidRequest", Registered: none, Initialized: none}},
		"a limit of ours":                           {nil, failing(limitReached), verdict{Launched: "Unknown/LimitReached", Registered: none, Initialized: none}},
		"no answer about what was made":             {[]func(*observed){in(phaseRegistration), launched, withNode()}, failing(node.Transient), verdict{Launched: launchedNow, Registered: "True/Registered", Initialized: "True/Initialized", Node: true}},
		"no rights to ask about what was made":      {[]func(*observed){in(phaseRegistration), launched}, failing(node.Auth), verdict{Launched: launchedNow, Registered: none, Initialized: none}},
	} {
		o := scene(append([]func(*observed){asked}, c.edits...)...)
		if diff := cmp.Diff(c.want, inShort(judge(o, c.answer(o)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWhatANodeLacks(t *testing.T) {
	t.Parallel()
	gpus := func(n string) func(*corev1.Node) {
		return func(to *corev1.Node) {
			to.Status.Allocatable = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse(n)}
		}
	}
	requests := func(list corev1.ResourceList) func(*nodeclaim.NodeClaim) {
		return func(c *nodeclaim.NodeClaim) { c.Spec.Resources.Requests = list }
	}
	taint := func(key string) func(*corev1.Node) {
		return func(n *corev1.Node) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	startup := func(c *nodeclaim.NodeClaim) {
		c.Spec.StartupTaints = []corev1.Taint{{Key: "driver", Effect: corev1.TaintEffectNoSchedule}}
	}
	for name, c := range map[string]struct {
		claim []func(*nodeclaim.NodeClaim)
		node  []func(*corev1.Node)
		gpus  int
		want  string
	}{
		"nothing, and its disk is never waited for":                {nil, nil, 1, ""},
		"a GPU that is asked for":                                  {nil, []func(*corev1.Node){gpus("0")}, 1, nodeclaim.ReasonGPUNotReady},
		"one of two GPUs that are asked for":                       {[]func(*nodeclaim.NodeClaim){requests(corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("2")})}, nil, 2, nodeclaim.ReasonGPUNotReady},
		"the GPUs of its type, where none is asked for":            {[]func(*nodeclaim.NodeClaim){requests(corev1.ResourceList{"storage": resource.MustParse("1Ti")})}, nil, 2, nodeclaim.ReasonGPUNotReady},
		"nothing, where its type has none":                         {[]func(*nodeclaim.NodeClaim){requests(nil)}, []func(*corev1.Node){gpus("0")}, 0, ""},
		"nothing, where less is asked for than its type has":       {nil, nil, 8, ""},
		"another device that is asked for":                         {[]func(*nodeclaim.NodeClaim){requests(corev1.ResourceList{"example.com/nic": resource.MustParse("1")})}, nil, 1, nodeclaim.ReasonResourceNotRegistered},
		"a kubelet that is ready":                                  {nil, []func(*corev1.Node){func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse }}, 1, nodeclaim.ReasonNodeNotReady},
		"a kubelet that has said anything":                         {nil, []func(*corev1.Node){func(n *corev1.Node) { n.Status.Conditions = nil }}, 1, nodeclaim.ReasonNodeNotReady},
		"the end of its startup":                                   {[]func(*nodeclaim.NodeClaim){startup}, []func(*corev1.Node){taint("driver")}, 1, nodeclaim.ReasonStartupTaints},
		"a look by the cloud's controller":                         {nil, []func(*corev1.Node){taint(taintUninitialized)}, 1, nodeclaim.ReasonStartupTaints},
		"nothing, with the taint that keeps others off":            {nil, []func(*corev1.Node){taint(nodeclaim.TaintKey)}, 1, ""},
		"nothing, when the processor that is asked for is its own": {[]func(*nodeclaim.NodeClaim){requests(corev1.ResourceList{"cpu": resource.MustParse("64")})}, nil, 0, ""},
	} {
		reason, message := lacks(claim("ws1", c.claim...), joined(scene(), c.node...), node.Offer{GPUs: c.gpus})
		if reason != c.want || (message == "") != (c.want == "") {
			t.Errorf("%s: it lacks %q (%s), want %q", name, reason, message, c.want)
		}
	}
}

func TestWhatGPUsATypeHasSaysItsOffer(t *testing.T) {
	t.Parallel()
	storage := func(c *nodeclaim.NodeClaim) {
		c.Spec.Resources.Requests = corev1.ResourceList{"storage": resource.MustParse("1Ti")}
	}
	amd := node.Offer{GPUs: 8, Capacity: corev1.ResourceList{"cpu": resource.MustParse("96"), "amd.com/gpu": resource.MustParse("8")}}
	if reason, message := lacks(claim("ws1", storage), joined(scene()), amd); reason != nodeclaim.ReasonGPUNotReady || !strings.Contains(message, "0 of 8 amd.com/gpu") {
		t.Errorf("a node without its GPUs of AMD's lacks %q: %s", reason, message)
	}
	whole := func(n *corev1.Node) { n.Status.Allocatable["amd.com/gpu"] = resource.MustParse("8") }
	if reason, message := lacks(claim("ws1", storage), joined(scene(), whole), amd); reason != "" {
		t.Errorf("a node with its GPUs of AMD's lacks %q: %s", reason, message)
	}
}

// What the start has put on a node is taken off by others, and does not come back.
func TestStartupTaintsAreSetOnce(t *testing.T) {
	t.Parallel()
	c := claim("ws1", func(c *nodeclaim.NodeClaim) {
		c.Spec.StartupTaints = []corev1.Taint{{Key: "driver", Effect: corev1.TaintEffectNoSchedule}}
	})
	o := scene()
	first := registered(c, joined(o, func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: taintUnregistered, Effect: corev1.TaintEffectNoExecute}}
	}), node.Offer{}, o.key)
	var keys []string
	for _, taint := range first.Spec.Taints {
		keys = append(keys, taint.Key)
	}
	if diff := cmp.Diff([]string{nodeclaim.TaintKey, "driver"}, keys); diff != "" {
		t.Errorf("taints of a node that joins (-want +got):\n%s", diff)
	}
	first.Spec.Taints = first.Spec.Taints[:1]
	if again := registered(c, first, node.Offer{}, o.key); len(again.Spec.Taints) != 1 {
		t.Errorf("the taint of the start came back: %v", again.Spec.Taints)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	machine := func(uid types.UID, namespace string, gpus int, ago ...time.Duration) Machine {
		m := Machine{UID: uid, Namespace: namespace, GPUs: gpus}
		for _, d := range ago {
			m.Asked = append(m.Asked, now.Add(-d))
		}
		return m
	}
	all := []Machine{machine("1", "a", 4, time.Minute), machine("2", "b", 8, 2*time.Hour), machine("", "a", 0, time.Minute, 50*time.Minute, 3*time.Hour)}
	want := machine("3", "a", 2)
	for name, c := range map[string]struct {
		limits Limits
		want   string
	}{
		"none":                                             {Limits{}, ""},
		"nodes, and there is room":                         {Limits{Cluster: Limit{Nodes: 3}}, ""},
		"nodes, and there is none":                         {Limits{Cluster: Limit{Nodes: 2}}, "The cluster has 2 nodes on demand, this NodeClaim wants 1, and the limit is 2. Delete what is not needed, or raise the provisioner's limit"},
		"GPUs, and there is room":                          {Limits{Cluster: Limit{GPUs: 14}}, ""},
		"GPUs, and there is none":                          {Limits{Cluster: Limit{GPUs: 13}}, "The cluster has 12 GPUs on demand, this NodeClaim wants 2, and the limit is 13. Delete what is not needed, or raise the provisioner's limit"},
		"of a namespace alone":                             {Limits{Namespace: Limit{Nodes: 1}}, "The namespace a has 1 nodes on demand, this NodeClaim wants 1, and the limit is 1. Delete what is not needed, or raise the provisioner's limit"},
		"GPUs of a namespace":                              {Limits{Namespace: Limit{GPUs: 6}}, ""},
		"attempts, and one is left":                        {Limits{Cluster: Limit{Attempts: 4}}, ""},
		"attempts, those of claims that are gone included": {Limits{Namespace: Limit{Attempts: 3}}, "The namespace a has asked for as many machines within an hour as its limit of 3 allows. It goes on by itself"},
	} {
		if diff := cmp.Diff(c.want, c.limits.Exceeded(all, want, now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLimitsHoldForClaimsThatComeAtOnce(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]Limits{
		"of the cluster":   {Cluster: Limit{Nodes: 2}},
		"of the namespace": {Namespace: Limit{GPUs: 2}},
		"of an hour":       {Cluster: Limit{Attempts: 2}},
	} {
		w := newWorld(t, limited(limits))
		for _, name := range []string{"ws1", "ws2", "ws3", "ws4"} {
			w.create(claim(name))
		}
		w.after(10 * time.Minute)
		if got := w.cloud.Creations(); got != 2 {
			t.Errorf("%s: %d machines were made, want 2", name, got)
		}
		w.is("ws3", nodeclaim.ConditionLaunched, "Unknown/LimitReached")
		w.heard(nodeclaim.ReasonLimitReached, 2)
		w.delete("ws1")
		w.after(70 * time.Minute)
		if got := w.cloud.Creations(); got < 3 {
			t.Errorf("%s: the limit holds on when there is room: %d machines were made", name, got)
		}
	}
}

package repair

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/testkit"
)

const gpu corev1.ResourceName = "nvidia.com/gpu"

// served is a claim for two GPUs whose machine was good once.
func served(name string, edits ...func(*nodeclaim.NodeClaim)) *nodeclaim.NodeClaim {
	claim := &nodeclaim.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{
			corev1.LabelInstanceTypeStable: "Standard_NC48ads_A100_v4", nodeclaim.LabelWorkspace: "chat", nodeclaim.LabelNamespace: "team",
		}},
		Spec: nodeclaim.Spec{
			NodeClassRef: &nodeclaim.ClassRef{Group: nodeclaim.ClassGroup, Kind: nodeclaim.ClassKind, Name: nodeclaim.ClassName},
			Requirements: []nodeclaim.Requirement{},
			Resources:    nodeclaim.Requirements{Requests: corev1.ResourceList{gpu: resource.MustParse("2"), corev1.ResourceStorage: resource.MustParse("100Gi")}},
		},
		Status: nodeclaim.Status{NodeName: name},
	}
	claim.StatusConditions().SetTrue(nodeclaim.ConditionInitialized)
	for _, edit := range edits {
		edit(claim)
	}
	return claim
}

// whole is its node.
func whole(name string, edits ...func(*corev1.Node)) *corev1.Node {
	return testkit.Node(name, append([]func(*corev1.Node){shows("2")}, edits...)...)
}

func shows(gpus string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Status.Allocatable[gpu] = resource.MustParse(gpus) }
}

func reports(kind corev1.NodeConditionType, status corev1.ConditionStatus) func(*corev1.Node) {
	return func(n *corev1.Node) {
		if kind == corev1.NodeReady {
			n.Status.Conditions = nil
		}
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: kind, Status: status, Message: "in its own words"})
	}
}

func TestExamine(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		have  *corev1.Node
		want  string
		words string
		runs  bool
	}{
		"a good node":                          {have: whole("n")},
		"one that left the cluster":            {want: faultGone, words: "The node n is not in the cluster any more"},
		"one that is not ready":                {have: whole("n", reports(corev1.NodeReady, corev1.ConditionFalse)), want: faultNotReady, words: "The node n is not ready: in its own words"},
		"one that is silent":                   {have: whole("n", reports(corev1.NodeReady, corev1.ConditionUnknown)), want: faultNotReady},
		"one that never said anything":         {have: whole("n", func(n *corev1.Node) { n.Status.Conditions = nil }), want: faultNotReady, words: "it does not say why"},
		"one without one of its GPUs":          {have: whole("n", shows("1")), want: faultGPU, words: "The node n shows 1 of 2 nvidia.com/gpu", runs: true},
		"one with more GPUs than asked for":    {have: whole("n", shows("4"))},
		"a fault of a GPU that AKS reports":    {have: whole("n", reports("XIDErrors", corev1.ConditionTrue)), want: "XIDErrors", words: "reports XIDErrors True: in its own words", runs: true},
		"the same condition when all is well":  {have: whole("n", reports("XIDErrors", corev1.ConditionFalse))},
		"a fault that EKS reports":             {have: whole("n", reports("AcceleratedHardwareReady", corev1.ConditionFalse)), want: "AcceleratedHardwareReady", runs: true},
		"memory is short, which passes":        {have: whole("n", reports(corev1.NodeMemoryPressure, corev1.ConditionTrue))},
		"not ready is graver than a GPU fault": {have: whole("n", reports("XIDErrors", corev1.ConditionTrue), reports(corev1.NodeReady, corev1.ConditionUnknown)), want: faultNotReady},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, ill := examine(served("n"), tc.have, Defaults())
			if ill != (tc.want != "") || f.name != tc.want || f.runs != tc.runs || !strings.Contains(f.message, tc.words) {
				t.Errorf("examine is %+v, %v; want %q with %q, runs %v", f, ill, tc.want, tc.words, tc.runs)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	rebooted := func(c *nodeclaim.NodeClaim) { c.Annotations = map[string]string{annotationRebooted: "x"} }
	spot := func(c *nodeclaim.NodeClaim) { c.Labels[nodeclaim.LabelCapacityType] = "spot" }
	silent := whole("n", reports(corev1.NodeReady, corev1.ConditionUnknown))
	for name, tc := range map[string]struct {
		edits []func(*nodeclaim.NodeClaim)
		have  *corev1.Node
		chart chart
		do    string
		fault string
		why   string
		again time.Duration
	}{
		"a fault that has just begun is borne":             {have: silent, chart: chart{since: now}, do: doWait, fault: faultNotReady, again: time.Minute},
		"and nearly long enough":                           {have: silent, chart: chart{since: ago(10).Add(20 * time.Second)}, do: doWait, fault: faultNotReady, again: 20 * time.Second},
		"then its machine is rebooted":                     {have: silent, chart: chart{since: ago(10)}, do: doReboot, fault: faultNotReady},
		"once only":                                        {have: silent, edits: []func(*nodeclaim.NodeClaim){rebooted}, chart: chart{since: ago(10)}, do: doReplace, fault: faultNotReady},
		"and the reboot is given its time":                 {have: silent, edits: []func(*nodeclaim.NodeClaim){rebooted}, chart: chart{since: ago(15), rebooted: ago(5)}, do: doWait, fault: faultNotReady, again: time.Minute},
		"before it is replaced":                            {have: silent, edits: []func(*nodeclaim.NodeClaim){rebooted}, chart: chart{since: ago(20), rebooted: ago(10)}, do: doReplace, fault: faultNotReady},
		"a faulty GPU is rebooted too":                     {have: whole("n", shows("0")), chart: chart{since: ago(10)}, do: doReboot, fault: faultGPU},
		"a node that left the cluster is not":              {chart: chart{since: ago(5)}, do: doReplace, fault: faultGone},
		"one look that sees no machine is not enough":      {have: silent, chart: chart{since: ago(60), lost: 1}, do: doWait, fault: faultNotReady, again: time.Minute},
		"two are, and nothing is borne any longer":         {have: silent, chart: chart{since: ago(1), lost: 2}, do: doReplace, fault: faultMachine},
		"so it is for a spot machine":                      {have: silent, edits: []func(*nodeclaim.NodeClaim){spot}, chart: chart{since: ago(1), lost: 2}, do: doReplace, fault: faultSpot},
		"a node that runs has a machine, whatever is said": {have: whole("n", shows("1")), chart: chart{since: ago(1), lost: 5}, do: doWait, fault: faultGPU, again: time.Minute},
		"a cloud that does not answer is waited for":       {have: silent, chart: chart{since: ago(5), silent: "no route"}, do: doWait, fault: faultNotReady, again: time.Minute},
		"and nothing is destroyed meanwhile":               {have: silent, chart: chart{since: ago(60), silent: "no route", lost: 2}, do: doHold, fault: faultNotReady, why: "the cloud does not answer: no route", again: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim := served("n", tc.edits...)
			f, _ := examine(claim, tc.have, Defaults())
			d := decide(claim, tc.have, f, tc.chart, now, Defaults())
			if d.do != tc.do || d.fault.name != tc.fault || d.why != tc.why {
				t.Errorf("decided %s about %s (%s), want %s about %s (%s)", d.do, d.fault.name, d.why, tc.do, tc.fault, tc.why)
			}
			if tc.again != 0 && d.again != tc.again {
				t.Errorf("looks again after %s, want %s", d.again, tc.again)
			}
		})
	}
}

func TestBrake(t *testing.T) {
	t.Parallel()
	going := func(c *nodeclaim.NodeClaim) { c.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
	other := func(c *nodeclaim.NodeClaim) { c.Labels[corev1.LabelInstanceTypeStable] = "Standard_NC6s_v3" }
	stranger := func(c *nodeclaim.NodeClaim) {
		c.Spec.NodeClassRef = nil
		delete(c.Labels, nodeclaim.LabelWorkspace)
	}
	fleet := func(n int, edits ...func(*nodeclaim.NodeClaim)) []nodeclaim.NodeClaim {
		var all []nodeclaim.NodeClaim
		for i := range n {
			all = append(all, *served(string(rune('a'+i))+"-fleet", edits...))
		}
		return all
	}
	for name, tc := range map[string]struct {
		all       []nodeclaim.NodeClaim
		rebooting int
		booked    int
		after     time.Duration
		why       string
	}{
		"a single claim":                        {},
		"one of three":                          {all: fleet(2)},
		"a second of three":                     {all: append(fleet(2), *served("gone", going)), why: "1 of 4 nodes of the type Standard_NC48ads_A100_v4 are being repaired or removed, and no more than 1 may be at once"},
		"while another type is under repair":    {all: append(fleet(2), *served("gone", going, other))},
		"a second of ten":                       {all: append(fleet(8), *served("gone", going))},
		"a third of ten":                        {all: append(fleet(8), *served("gone", going)), rebooting: 1, why: "2 of 10 nodes"},
		"a reboot counts":                       {all: fleet(3), rebooting: 1, why: "1 of 4 nodes"},
		"three within the hour":                 {booked: 3, after: 59 * time.Minute, why: "3 nodes of Workspace team/chat were replaced within an hour"},
		"two within the hour":                   {booked: 2},
		"three, an hour ago":                    {booked: 3, after: time.Hour},
		"claims of others have no part in this": {all: fleet(9, going, stranger)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := clocktesting.NewFakePassiveClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
			l := newLedger(clock)
			for i := range tc.booked {
				l.book(served(string(rune('a'+i)) + "-before"))
			}
			clock.SetTime(clock.Now().Add(tc.after))
			rebooting := map[types.UID]bool{}
			for i := range tc.rebooting {
				rebooting[tc.all[i].UID] = true
			}
			claim := served("n")
			why := l.brake(claim, append(tc.all, *claim), rebooting, Defaults())
			if tc.why == "" && why != "" || !strings.Contains(why, tc.why) {
				t.Errorf("the brake says %q, want %q", why, tc.why)
			}
		})
	}
}

func TestTheBrakeKnowsWhatTheCacheDoesNotShowYet(t *testing.T) {
	t.Parallel()
	l := newLedger(clocktesting.NewFakePassiveClock(time.Now()))
	first, second := served("first"), served("second")
	all := []nodeclaim.NodeClaim{*first, *second}
	if why := l.brake(first, all, nil, Defaults()); why != "" {
		t.Fatalf("the first is held: %s", why)
	}
	l.book(first)
	if why := l.brake(second, all, nil, Defaults()); why == "" {
		t.Error("two of two were replaced at once")
	}
}

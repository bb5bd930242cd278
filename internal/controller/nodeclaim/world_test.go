package nodeclaim

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/sim"
	"kaito.sh/kaito/internal/nodeclaim"
)

const (
	cluster = "5f2c7f5e-11a3-4a53-a7f3-0a35c1f3a1de"
	typeA   = "Standard_NC24ads_A100_v4"
	typeB   = "Standard_NC48ads_A100_v4"
	typeCPU = "Standard_D4s_v5"
	typeOld = "Standard_NC6s_v3"
)

// world is a cluster in memory, a simulated cloud, and the passes of one replica.
type world struct {
	testing.TB

	clock *clocktesting.FakeClock
	store *store
	cloud *sim.Cloud
	opts  Options

	lifecycle *Reconciler
	// wake is when each claim is to be looked at again, seen what it and the nodes were at the last look.
	wake   map[string]time.Time
	seen   map[string]string
	events []string
	// before is called before every request to the store and the cloud.
	before func(string)
	// onStep is called between passes.
	onStep func()
	// foreign is true while something happens that is not done by a process of ours.
	foreign bool
	// crowded says that there are several processes: one may remove what another has just asked for.
	crowded bool
	// blocked drains do not go on.
	blocked bool
}

func newWorld(t testing.TB, edits ...func(*Options, *sim.Options)) *world {
	t.Helper()
	clock := clocktesting.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	w := &world{TB: t, clock: clock, store: newStore(clock), wake: map[string]time.Time{}, seen: map[string]string{}}
	table := instances()
	so := sim.Options{
		Clock: clock, Instances: table, Client: &view{store: w.store}, Tokens: true,
		Delays: sim.Delays{Create: time.Minute, Join: 30 * time.Second, Ready: 10 * time.Second, GPU: 20 * time.Second, Remove: 30 * time.Second, SpotLife: 10 * time.Minute},
	}
	w.opts = Options{Clock: clock, Cluster: cluster, Deadlines: DefaultDeadlines(), Recorder: w, ProviderName: "sim"}
	for _, edit := range edits {
		edit(&w.opts, &so)
	}
	w.cloud = sim.New(so)
	w.store.onGone = w.wantNoMachine
	w.restart()
	return w
}

// instances is the shipped table, read once.
func instances() *instance.Table {
	if shipped == nil {
		panic("the table was not read")
	}
	return shipped
}

var shipped = func() *instance.Table {
	table, err := instance.Load()
	if err != nil {
		panic(err)
	}
	return table
}()

// Eventf keeps the reasons of events.
func (w *world) Eventf(_, _ runtime.Object, _, reason, _, note string, args ...any) { //nolint:revive // the recorder's own
	w.events = append(w.events, reason+": "+fmt.Sprintf(note, args...))
}

// replica is a new process, with its own view of the store.
func (w *world) replica(v *view) *Reconciler {
	o := w.opts
	o.Client, o.Reader = v, &view{store: w.store, before: v.before}
	before := v.before
	if before == nil {
		before = func(string) {}
	}
	o.Provider = watched{w.cloud.Provider(), before}
	return New(o)
}

// restart begins a new process.
func (w *world) restart() {
	v := &view{store: w.store, before: func(name string) {
		if w.before != nil {
			w.before(name)
		}
	}}
	w.lifecycle = w.replica(v)
	clear(w.wake)
	clear(w.seen)
}

// claim is a claim like those that the operator makes.
func claim(name string, edits ...func(*nodeclaim.NodeClaim)) *nodeclaim.NodeClaim {
	c := &nodeclaim.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, UID: types.UID("uid-" + name), Labels: map[string]string{
			nodeclaim.LabelNodePool: nodeclaim.PoolName, nodeclaim.LabelWorkspace: "phi", nodeclaim.LabelNamespace: "default",
		}},
		Spec: nodeclaim.Spec{
			NodeClassRef: &nodeclaim.ClassRef{Group: nodeclaim.ClassGroup, Kind: nodeclaim.ClassKind, Name: nodeclaim.ClassName},
			Requirements: []nodeclaim.Requirement{
				{Key: corev1.LabelInstanceTypeStable, Operator: corev1.NodeSelectorOpIn, Values: []string{typeA}},
			},
			Resources: nodeclaim.Requirements{Requests: corev1.ResourceList{
				"nvidia.com/gpu": resource.MustParse("1"), corev1.ResourceStorage: resource.MustParse("120Gi"),
			}},
			Taints: []corev1.Taint{{Key: nodeclaim.TaintKey, Value: nodeclaim.TaintValue, Effect: corev1.TaintEffectNoSchedule}},
		},
	}
	for _, edit := range edits {
		edit(c)
	}
	return c
}

func ofTypes(types ...string) func(*nodeclaim.NodeClaim) {
	return func(c *nodeclaim.NodeClaim) { c.Spec.Requirements[0].Values = types }
}

func (w *world) create(c *nodeclaim.NodeClaim) *nodeclaim.NodeClaim {
	w.Helper()
	if err := (&view{store: w.store}).Create(w.Context(), c); err != nil {
		w.Fatal(err)
	}
	return c
}

// get is the claim as it stands, or nil.
func (w *world) get(name string) *nodeclaim.NodeClaim {
	c, _ := w.store.snapshot()["claim/"+name].(*nodeclaim.NodeClaim)
	return c
}

func (w *world) delete(name string) {
	w.Helper()
	if err := client.IgnoreNotFound((&view{store: w.store}).Delete(w.Context(), claim(name))); err != nil {
		w.Fatal(err)
	}
}

// change edits a claim as somebody else.
func (w *world) change(name string, edit func(*nodeclaim.NodeClaim)) {
	w.Helper()
	c := w.get(name).DeepCopy()
	edit(c)
	if err := w.store.patch(c, false); err != nil {
		w.Fatal(err)
	}
}

// quiet keeps what is logged to itself.
func quiet(ctx context.Context) context.Context { return log.IntoContext(ctx, logr.Discard()) }

// pass makes one pass over a claim, and remembers when to come again.
func (w *world) pass(ctx context.Context, name string) error {
	result, err := w.lifecycle.Reconcile(quiet(ctx), ctrl.Request{NamespacedName: types.NamespacedName{Name: name}})
	delete(w.wake, name)
	if err != nil {
		w.wake[name] = w.clock.Now().Add(time.Second)
	} else if result.RequeueAfter > 0 {
		w.wake[name] = w.clock.Now()
		if result.RequeueAfter != atOnce {
			w.wake[name] = w.clock.Now().Add(result.RequeueAfter)
		}
	}
	return err
}

// print is what of a claim and the nodes makes a pass.
func (w *world) print(name string) string {
	c := w.get(name)
	if c == nil {
		return "gone"
	}
	text := c.ResourceVersion
	for _, n := range w.store.nodes() {
		text += " " + n.ResourceVersion
	}
	return text
}

// settle makes all passes that are due, at this moment.
func (w *world) settle() {
	w.Helper()
	const most = 200
	for range most {
		if w.onStep != nil {
			w.onStep()
		}
		if err := w.cloud.Step(w.Context()); err != nil {
			w.Fatal(err)
		}
		w.drain()
		busy := false
		for _, c := range w.store.claims() {
			at, waits := w.wake[c.Name]
			if print := w.print(c.Name); print != w.seen[c.Name] || waits && !at.After(w.clock.Now()) {
				w.seen[c.Name] = print
				busy = true
				_ = w.pass(w.Context(), c.Name) // it comes again
			}
		}
		if !busy {
			return
		}
	}
	w.Fatalf("the passes do not come to rest: %s, machines %+v", w.told(), w.cloud.Machines())
}

// after lets time pass, from one moment at which something is due to the next.
func (w *world) after(d time.Duration) {
	w.Helper()
	const least, most = 5 * time.Second, 10 * time.Minute
	w.settle()
	for end := w.clock.Now().Add(d); w.clock.Now().Before(end); w.settle() {
		step := most
		for _, at := range w.wake {
			step = min(step, at.Sub(w.clock.Now()))
		}
		w.clock.Step(min(max(step, least), end.Sub(w.clock.Now())))
	}
}

// drain does what Karpenter's termination of nodes does to nodes that are being deleted:
// the claim goes with the node, the machine is removed, and the node is let go of.
func (w *world) drain() {
	w.Helper()
	if w.blocked {
		return
	}
	for _, n := range w.store.nodes() {
		if n.DeletionTimestamp.IsZero() || !controllerutil.ContainsFinalizer(n, nodeclaim.Finalizer) {
			continue
		}
		gone := true
		for _, c := range w.store.claims() {
			if c.Status.ProviderID != n.Spec.ProviderID {
				continue
			}
			w.others(func() { w.delete(c.Name) })
			owner := node.Owner{Cluster: cluster, ClaimUID: string(c.UID), ClaimName: c.Name}
			o, err := w.cloud.Provider().Remove(w.Context(), node.KeyOf(cluster, string(c.UID)), owner)
			gone = err == nil && o.State == node.Absent
		}
		if gone {
			next := n.DeepCopy()
			controllerutil.RemoveFinalizer(next, nodeclaim.Finalizer)
			if err := w.store.patch(next, false); err != nil {
				w.Fatal(err)
			}
		}
	}
}

// others is what is not done by a process of ours.
func (w *world) others(do func()) {
	w.foreign = true
	do()
	w.foreign = false
}

// condition is a condition of a claim, as "Status/Reason".
func (w *world) condition(name, kind string) string {
	w.Helper()
	c := w.get(name)
	if c == nil {
		return "gone"
	}
	got := nodeclaim.Condition(c, kind)
	return string(got.Status) + "/" + got.Reason
}

func (w *world) is(name, kind, want string) {
	w.Helper()
	if got := w.condition(name, kind); got != want {
		w.Fatalf("%s of %s is %s, want %s: %q", kind, name, got, want, w.message(name, kind))
	}
}

func (w *world) message(name, kind string) string {
	if c := w.get(name); c != nil {
		return nodeclaim.Condition(c, kind).Message
	}
	return ""
}

const (
	readyNow    = "True/Ready"
	launchedNow = "True/Launched"
)

// gone wants nothing to be left of anything.
func (w *world) gone() {
	w.Helper()
	if left := w.cloud.Machines(); len(left) > 0 {
		w.Errorf("machines are left: %+v", left)
	}
	if left := w.store.snapshot(); len(left) > 0 {
		w.Errorf("objects are left: %v", left)
	}
}

// failFirst lets the creation of the first machine fail, and no other.
func (w *world) failFirst() {
	w.cloud.Inject(sim.CreationFails, 1)
	w.onStep = func() {
		if w.cloud.Creations() > 0 {
			w.cloud.Clear()
		}
	}
}

// told is how all claims stand, in words.
func (w *world) told() string {
	text := ""
	for _, c := range w.store.claims() {
		text += fmt.Sprintf("%s: %v %v", c.Name, c.Annotations, c.Finalizers)
		for _, condition := range nodeclaim.Conditions(c) {
			text += fmt.Sprintf("\n\t%s %s %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message)
		}
		text += "\n"
	}
	for _, n := range w.store.nodes() {
		text += fmt.Sprintf("node %s: labels %v, finalizers %v, deleted %v, %+v\n", n.Name, n.Labels, n.Finalizers, n.DeletionTimestamp, n.Status.Conditions)
	}
	return text
}

// wantNoMachine is what holds whenever a claim goes: its machine went before it.
func (w *world) wantNoMachine(c *nodeclaim.NodeClaim) {
	if err := w.hasMachine(c); err != nil {
		w.Error(err)
	}
}

func (w *world) hasMachine(c *nodeclaim.NodeClaim) error {
	for _, m := range w.cloud.Machines() {
		if m.Owner.Cluster == cluster && m.Owner.ClaimUID == string(c.UID) && (m.State != node.Deleting || !w.crowded) {
			return fmt.Errorf("the claim %s is gone, and its machine is not: %+v", c.Name, m)
		}
	}
	return nil
}

func limited(l Limits) func(*Options, *sim.Options) {
	return func(o *Options, _ *sim.Options) { o.Limits = l }
}

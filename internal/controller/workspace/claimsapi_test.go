package workspace_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/testkit"
)

// claimsOf are the NodeClaims of a Workspace, those on their way out included, by ordinal.
func claimsOf(t *testing.T, c client.Client, ws *v1beta1.Workspace) []nodeclaim.NodeClaim {
	t.Helper()
	var list nodeclaim.NodeClaimList
	mine := client.MatchingLabels{nodeclaim.LabelWorkspace: ws.Name, nodeclaim.LabelNamespace: ws.Namespace}
	if err := c.List(t.Context(), &list, mine); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b nodeclaim.NodeClaim) int {
		return strings.Compare(a.Labels[nodeclaim.LabelOrdinal]+a.Annotations[nodeclaim.AnnotationAttempt], b.Labels[nodeclaim.LabelOrdinal]+b.Annotations[nodeclaim.AnnotationAttempt])
	})
	return list.Items
}

// claims waits until a Workspace has so many.
func claims(t *testing.T, c client.Client, ws *v1beta1.Workspace, n int) []nodeclaim.NodeClaim {
	t.Helper()
	var all []nodeclaim.NodeClaim
	eventually(t, "NodeClaims are asked for", func() bool {
		all = claimsOf(t, c, ws)
		return len(all) == n
	})
	return all
}

// takeUp is the provisioner's first act: its finalizer.
func takeUp(t *testing.T, c client.Client, claim *nodeclaim.NodeClaim) {
	t.Helper()
	controllerutil.AddFinalizer(claim, nodeclaim.Finalizer)
	if err := c.Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
}

// refuse is the provisioner's word that the cloud makes no such machine.
func refuse(t *testing.T, c client.Client, claim *nodeclaim.NodeClaim, reason, message string) {
	t.Helper()
	claim.StatusConditions().SetFalse(nodeclaim.ConditionLaunched, reason, message)
	if err := c.Status().Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
}

// join makes the node of a claim and says so in the claim.
func join(t *testing.T, c client.Client, claim *nodeclaim.NodeClaim, name string) *corev1.Node {
	t.Helper()
	node := api.Join(t, testkit.Node(name, func(n *corev1.Node) {
		for key, value := range claim.Labels {
			n.Labels[key] = value
		}
		n.Labels[corev1.LabelInstanceTypeStable] = claim.Spec.Requirements[0].Values[0]
	}))
	for _, kind := range []string{nodeclaim.ConditionLaunched, nodeclaim.ConditionRegistered, nodeclaim.ConditionInitialized} {
		claim.StatusConditions().SetTrue(kind)
	}
	claim.Status.NodeName = name
	if err := c.Status().Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	return node
}

// end takes node and finalizer away, as the provisioner does once the machine is gone.
func finish(t *testing.T, c client.Client, claim *nodeclaim.NodeClaim) {
	t.Helper()
	if claim.Status.NodeName != "" {
		if err := c.Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: claim.Status.NodeName}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(claim), claim); err != nil {
		t.Fatal(err)
	}
	controllerutil.RemoveFinalizer(claim, nodeclaim.Finalizer)
	if err := c.Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
}

// onTwoNodes is a template of the user's own with two pods, on nodes that are made.
func onTwoNodes(ws *v1beta1.Workspace) {
	ws.Inference = &v1beta1.InferenceSpec{Template: &runtime.RawExtension{Raw: []byte(
		`{"spec":{"containers":[{"name":"server","image":"registry.example/server:1","securityContext":{"allowPrivilegeEscalation":false}}]}}`)}}
	ws.Resource.Count, ws.Resource.InstanceType = new(int32(2)), "Standard_D4s_v5"
}

// A Workspace's life on nodes that are made: this test is the provisioner.
func TestNodesAreMadeReplacedAndGivenBack(t *testing.T) {
	stop := start(t, provisioning())
	c := api.Client(t)
	namespace := api.Namespace(t)
	ws := testkit.Workspace(namespace, "chat", testkit.OnNodes("apps", namespace), onTwoNodes)
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	both := claims(t, c, ws, 2)
	is(t, c, ws, v1beta1.ConditionNodeClaimReady, v1beta1.ReasonNodeClaimPending)
	if !controllerutil.ContainsFinalizer(ws, v1beta1.Finalizer) {
		t.Error("nodes are asked for before anything holds their Workspace")
	}
	for i := range both {
		takeUp(t, c, &both[i])
		if both[i].Labels["apps"] != namespace || both[i].Labels[nodeclaim.LabelNodePool] != nodeclaim.PoolName {
			t.Errorf("labels of the claim are %v", both[i].Labels)
		}
	}

	// The cloud's own words stand in the condition.
	refuse(t, c, &both[0], nodeclaim.ReasonQuotaExceeded, "OperationNotAllowed: 0 of 10 cores are left of family standardDSv5Family")
	is(t, c, ws, v1beta1.ConditionResourceReady, nodeclaim.ReasonQuotaExceeded)
	if m := condition(t, c, ws, v1beta1.ConditionResourceReady).Message; !strings.Contains(m, "0 of 10 cores are left of family standardDSv5Family") {
		t.Errorf("ResourceReady says %q", m)
	}

	// The first node serves while the second is on its way.
	join(t, c, &both[0], namespace+"-0")
	set := child(t, c, namespace, "chat", &appsv1.StatefulSet{})
	if *set.Spec.Replicas != 2 {
		t.Errorf("%d pods, want 2", *set.Spec.Replicas)
	}
	join(t, c, &both[1], namespace+"-1")
	is(t, c, ws, v1beta1.ConditionResourceReady, v1beta1.ReasonResourceReady)

	// A claim that goes is replaced under another name while its own still stands.
	if err := c.Delete(t.Context(), &both[1]); err != nil {
		t.Fatal(err)
	}
	three := claims(t, c, ws, 3)
	if three[1].DeletionTimestamp == nil || three[2].Annotations[nodeclaim.AnnotationAttempt] != "1" || three[2].Name == three[1].Name {
		t.Errorf("the successor is %+v", three[2].ObjectMeta)
	}
	finish(t, c, &three[1])
	takeUp(t, c, &three[2])
	join(t, c, &three[2], namespace+"-2")
	is(t, c, ws, v1beta1.ConditionResourceReady, v1beta1.ReasonResourceReady)
	if again := child(t, c, namespace, "chat", &appsv1.StatefulSet{}); again.Generation != set.Generation {
		t.Error("the loss of a node rolls all pods")
	}

	restartWritesNothing(t, c, ws, stop)
	deletionWaits(t, c, ws)
}

// restartWritesNothing starts another operator and sees that it has nothing to say.
func restartWritesNothing(t *testing.T, c client.Client, ws *v1beta1.Workspace, stop func() error) {
	t.Helper()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), ws); err != nil {
		t.Fatal(err)
	}
	seen := &requests{}
	start(t, provisioning(), seen.record)
	time.Sleep(2 * time.Second) // nothing can be waited for: what is looked for must not happen
	writes := slices.DeleteFunc(seen.since(0, ws.Namespace), func(s string) bool { return strings.HasPrefix(s, "GET ") })
	if len(writes) > 0 {
		t.Errorf("a restart writes %v", writes)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for _, s := range seen.seen {
		if strings.Contains(s, "/nodeclaims") && !strings.HasPrefix(s, "GET ") {
			t.Errorf("a restart asks for %s", s)
		}
	}
}

// deletionWaits sees pods go, then claims, then nodes, and the Workspace last.
func deletionWaits(t *testing.T, c client.Client, ws *v1beta1.Workspace) {
	t.Helper()
	if err := c.Delete(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	is(t, c, ws, v1beta1.ConditionNodeClaimReady, v1beta1.ReasonDeleting)
	var all []nodeclaim.NodeClaim
	eventually(t, "all claims are to go", func() bool {
		all = claimsOf(t, c, ws)
		return !slices.ContainsFunc(all, func(n nodeclaim.NodeClaim) bool { return n.DeletionTimestamp == nil })
	})
	eventually(t, "the pods' maker goes first", func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(ws), &appsv1.StatefulSet{}))
	})
	for i := range all {
		eventually(t, "the message names "+all[i].Name, func() bool {
			return strings.Contains(condition(t, c, ws, v1beta1.ConditionResourceReady).Message, all[i].Name)
		})
	}
	finish(t, c, &all[0])
	// A claim whose finalizer somebody has torn off leaves its node: that is waited for as well.
	node := all[1].Status.NodeName
	all[1].Status.NodeName = ""
	finish(t, c, &all[1])
	eventually(t, "the message names the node that is left", func() bool {
		return strings.Contains(condition(t, c, ws, v1beta1.ConditionResourceReady).Message, "kubectl delete node "+node)
	})
	if err := c.Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Workspace is gone", func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(ws), ws))
	})
}

// still holds back what the server tells of changes of NodeClaims: the cache stays as it was at its start.
type still struct{ open chan struct{} }

func (s still) hold(cluster *rest.Config) {
	cluster.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			query := req.URL.Query()
			if !strings.HasSuffix(req.URL.Path, "/nodeclaims") || query.Get("watch") == "" {
				return next.RoundTrip(req)
			}
			if query.Get("sendInitialEvents") != "" { // have it list first
				return &http.Response{StatusCode: http.StatusUnprocessableEntity, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
			}
			select {
			case <-s.open:
				return next.RoundTrip(req)
			case <-req.Context().Done():
				return nil, req.Context().Err()
			}
		})
	})
}

func TestAStaleCacheNeverDoublesANode(t *testing.T) {
	seen, cache := &requests{}, still{open: make(chan struct{})}
	start(t, provisioning(), seen.record, cache.hold)
	c := api.Client(t)
	namespace := api.Namespace(t)
	ws := testkit.Workspace(namespace, "chat", testkit.OnNodes("apps", namespace), testkit.InstanceType("Standard_D4s_v5"))
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	first := claims(t, c, ws, 1)
	asked := func() int {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		n := 0
		for _, s := range seen.seen {
			if strings.HasPrefix(s, "POST ") && strings.HasSuffix(s, "/nodeclaims") {
				n++
			}
		}
		return n
	}
	before := asked()
	// Passes that all believe that there is no claim.
	for _, value := range []string{"1", "2", "3"} {
		from := seen.count()
		is(t, c, ws, v1beta1.ConditionNodeClaimReady, v1beta1.ReasonNodeClaimPending)
		ws.Annotations = map[string]string{"touched": value}
		if err := c.Update(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the API server is asked what there is", func() bool {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			return slices.Contains(seen.seen[from:], "GET /apis/karpenter.sh/v1/nodeclaims")
		})
	}
	if all := claimsOf(t, c, ws); len(all) != 1 || all[0].UID != first[0].UID || asked() != before {
		t.Errorf("%d claims after %d attempts, want the one", len(all), asked())
	}
	// The claim is replaced while the cache still knows nothing of either.
	takeUp(t, c, &first[0])
	if err := c.Delete(t.Context(), &first[0]); err != nil {
		t.Fatal(err)
	}
	ws.Annotations = map[string]string{"touched": "4"}
	if err := c.Update(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	claims(t, c, ws, 2)
	finish(t, c, &first[0])
	ws.Annotations = map[string]string{"touched": "5"}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), ws); err != nil {
		t.Fatal(err)
	}
	ws.Annotations = map[string]string{"touched": "5"}
	from := seen.count()
	if err := c.Update(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the API server is asked again", func() bool { return seen.count() > from })
	close(cache.open)
	is(t, c, ws, v1beta1.ConditionNodeClaimReady, v1beta1.ReasonNodeClaimPending)
	if all := claimsOf(t, c, ws); len(all) != 1 || all[0].Annotations[nodeclaim.AnnotationAttempt] != "1" {
		t.Errorf("claims are %+v, want the successor alone", all)
	}
}

func TestClaimsWithoutAWorkspaceAreRemoved(t *testing.T) {
	start(t, provisioning())
	c := api.Client(t)
	namespace := api.Namespace(t)
	ws := testkit.Workspace(namespace, "chat", testkit.OnNodes("apps", namespace), testkit.InstanceType("Standard_D4s_v5"))
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	claim := claims(t, c, ws, 1)[0]
	stranger := &nodeclaim.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: claim.Labels}, Spec: claim.Spec}
	if err := c.Create(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(t.Context(), stranger) })

	// Labels that are taken off come back, and nothing is made twice.
	is(t, c, ws, v1beta1.ConditionNodeClaimReady, v1beta1.ReasonNodeClaimPending)
	bare := claim.DeepCopy()
	bare.Labels = nil
	if err := c.Update(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the labels come back", func() bool {
		err := c.Get(t.Context(), client.ObjectKeyFromObject(bare), bare)
		return err == nil && bare.UID == claim.UID && bare.Labels[nodeclaim.LabelWorkspace] == "chat"
	})

	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), ws); err != nil {
		t.Fatal(err)
	}
	ws.Finalizers = nil
	if err := c.Update(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the claim is gone", func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(&claim), &claim))
	})
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(stranger), stranger); err != nil || stranger.DeletionTimestamp != nil {
		t.Errorf("a claim that we have not made is removed: %v", err)
	}
}

// The operator runs where nobody has installed a provisioner, and goes on when somebody does.
func TestAClusterThatLearnsNodeClaimsLater(t *testing.T) {
	c := api.Client(t)
	removeCRD(t)
	start(t, provisioning())
	namespace := api.Namespace(t)
	ws := testkit.Workspace(namespace, "chat", testkit.OnNodes("apps", namespace), testkit.InstanceType("Standard_D4s_v5"))
	own := testkit.Workspace(namespace, "own", testkit.OnNodes("own", namespace))
	for _, o := range []client.Object{ws, own} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	is(t, c, ws, v1beta1.ConditionResourceReady, v1beta1.ReasonNoProvisioner)
	is(t, c, own, v1beta1.ConditionNodesReady, v1beta1.ReasonNoMatchingNode)
	if controllerutil.ContainsFinalizer(ws, v1beta1.Finalizer) {
		t.Error("a Workspace is held though no node can be asked for")
	}
	installCRD(t)
	claims(t, c, ws, 1)
	is(t, c, ws, v1beta1.ConditionResourceReady, v1beta1.ReasonNodeClaimPending)
}

func extensions(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(api.Config(t), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func removeCRD(t *testing.T) {
	t.Helper()
	c, crd := extensions(t), &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "nodeclaims.karpenter.sh"}}
	t.Cleanup(func() { installCRD(t) }) // other tests need it, whatever this one finds
	if err := c.Delete(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kind is gone", func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(crd), crd)) && meta.IsNoMatchError(fresh(t).List(t.Context(), &nodeclaim.NodeClaimList{}))
	})
}

// fresh is a client that remembers no kinds.
func fresh(t *testing.T) client.Client {
	t.Helper()
	scheme, err := testkit.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(api.Config(t), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var installing sync.Mutex

func installCRD(t *testing.T) {
	t.Helper()
	installing.Lock()
	defer installing.Unlock()
	_, err := envtest.InstallCRDs(api.Config(t), envtest.CRDInstallOptions{
		Paths: []string{filepath.Join("..", "..", "..", "config", "crd", "bases", "karpenter.sh_nodeclaims.yaml")}, ErrorIfPathMissing: true,
	})
	if err != nil {
		t.Errorf("install the CRD of NodeClaims again: %v", err)
	}
}

// What the API server itself says of a claim stands in the condition.
func TestAClaimThatAPolicyRefuses(t *testing.T) {
	c := api.Client(t)
	namespace := api.Namespace(t)
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{"karpenter.sh"}, APIVersions: []string{"v1"}, Resources: []string{"nodeclaims"}},
			}}}},
			Validations: []admissionv1.Validation{{
				Expression: "!('apps' in object.metadata.labels) || object.metadata.labels['apps'] != '" + namespace + "'", Message: "the budget of this team is spent",
			}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: namespace, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}
	for _, o := range []client.Object{policy, binding} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	probe := &nodeclaim.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"apps": namespace}}, Spec: nodeclaim.Spec{
		NodeClassRef: &nodeclaim.ClassRef{Group: nodeclaim.ClassGroup, Kind: nodeclaim.ClassKind, Name: nodeclaim.ClassName}, Requirements: []nodeclaim.Requirement{},
	}}
	eventually(t, "the policy is enforced", func() bool { return apierrors.IsInvalid(c.Create(t.Context(), probe.DeepCopy(), client.DryRunAll)) })
	start(t, provisioning())
	ws := testkit.Workspace(namespace, "chat", testkit.OnNodes("apps", namespace), testkit.InstanceType("Standard_D4s_v5"))
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{v1beta1.ConditionNodeClaimReady, v1beta1.ConditionResourceReady, v1beta1.ConditionInferenceReady} {
		is(t, c, ws, kind, v1beta1.ReasonNodeClaimRefused)
		if m := condition(t, c, ws, kind).Message; !strings.Contains(m, "the budget of this team is spent") {
			t.Errorf("%s says %q", kind, m)
		}
	}
	for _, o := range []client.Object{binding, policy} {
		if err := c.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the policy is gone", func() bool { return c.Create(t.Context(), probe.DeepCopy(), client.DryRunAll) == nil })
	ws.Annotations = map[string]string{"touched": "yes"}
	if err := c.Update(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	is(t, c, ws, v1beta1.ConditionResourceReady, v1beta1.ReasonNodeClaimPending)
}

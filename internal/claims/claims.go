// Package claims reads the NodeClaims of Workspaces in a cluster that may not know the
// kind: then it waits until somebody installs it, and the operator does all the rest.
package claims

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/internal/nodeclaim"
)

// ErrUnread is the answer while the cluster knows NodeClaims and they are still being read.
var ErrUnread = errors.New("the NodeClaims of the cluster are still being read")

const (
	// patience is how long the start of the operator waits for the first reading: where it
	// may not read NodeClaims, all the rest goes on.
	patience = 15 * time.Second
	// workspaceIndex finds the claims of a Workspace.
	workspaceIndex = "workspace"
)

// Book knows the NodeClaims of Workspaces.
type Book struct {
	cluster *rest.Config
	scheme  *runtime.Scheme
	live    client.Reader
	every   time.Duration

	// known is set once the cluster has the kind, reader once all claims are read.
	known  atomic.Bool
	reader atomic.Pointer[cache.Cache]
}

// New is a Book of a cluster. live reads past caches; every is how often the cluster is
// asked for the kind while it does not know it.
func New(cluster *rest.Config, scheme *runtime.Scheme, live client.Reader, every time.Duration) *Book {
	return &Book{cluster: cluster, scheme: scheme, live: live, every: every}
}

// Watch tells of each Workspace whose claims come, go or change, until ctx ends. It returns
// once all are read, or once it is clear that the cluster has no such kind: it then goes on
// asking, and calls appeared when there is more to know than before.
func (b *Book) Watch(ctx context.Context, changed func(types.NamespacedName), appeared func()) error {
	known, err := b.look()
	if err != nil {
		return err
	}
	if known {
		return b.open(ctx, changed, appeared)
	}
	go func() {
		ticker := time.NewTicker(b.every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			known, err := b.look()
			if err == nil && known {
				err = b.open(ctx, changed, appeared)
			}
			switch {
			case err != nil:
				ctrl.LoggerFrom(ctx).Error(err, "look for NodeClaims, tried again")
			case known:
				appeared()
				return
			}
		}
	}()
	return nil
}

// look asks the cluster whether it knows the kind.
func (b *Book) look() (bool, error) {
	d, err := discovery.NewDiscoveryClientForConfig(b.cluster)
	if err != nil {
		return false, fmt.Errorf("ask the cluster for its kinds: %w", err)
	}
	list, err := d.ServerResourcesForGroupVersion(nodeclaim.APIVersion)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask the cluster for %s: %w", nodeclaim.APIVersion, err)
	}
	for _, r := range list.APIResources {
		if r.Kind == nodeclaim.Kind {
			return true, nil
		}
	}
	return false, nil
}

// open reads all claims of Workspaces and follows them.
func (b *Book) open(ctx context.Context, changed func(types.NamespacedName), appeared func()) error {
	labelled, err := labels.NewRequirement(nodeclaim.LabelWorkspace, selection.Exists, nil)
	if err != nil {
		return fmt.Errorf("select our NodeClaims: %w", err)
	}
	ours := cache.ByObject{Label: labels.NewSelector().Add(*labelled), Transform: Shrink}
	c, err := cache.New(b.cluster, cache.Options{Scheme: b.scheme, ByObject: map[client.Object]cache.ByObject{&nodeclaim.NodeClaim{}: ours}})
	if err != nil {
		return fmt.Errorf("make a cache of NodeClaims: %w", err)
	}
	err = c.IndexField(ctx, &nodeclaim.NodeClaim{}, workspaceIndex, func(o client.Object) []string { return []string{Workspace(o).String()} })
	if err != nil {
		return fmt.Errorf("index the NodeClaims: %w", err)
	}
	informer, err := c.GetInformer(ctx, &nodeclaim.NodeClaim{})
	if err != nil {
		return fmt.Errorf("watch NodeClaims: %w", err)
	}
	if _, err := informer.AddEventHandler(news(changed)); err != nil {
		return fmt.Errorf("watch NodeClaims: %w", err)
	}
	b.known.Store(true)
	go func() {
		if err := c.Start(ctx); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "read NodeClaims")
		}
	}()
	first, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if c.WaitForCacheSync(first) {
		b.reader.Store(&c)
		return nil
	}
	go func() {
		if c.WaitForCacheSync(ctx) {
			b.reader.Store(&c)
			appeared()
		}
	}()
	return nil
}

// news turns what happens to claims into Workspaces to look at.
func news(changed func(types.NamespacedName)) toolscache.ResourceEventHandler {
	tell := func(object any) {
		if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		if claim, ok := object.(*nodeclaim.NodeClaim); ok {
			changed(Workspace(claim))
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    tell,
		DeleteFunc: tell,
		UpdateFunc: func(before, after any) {
			was, ok1 := before.(*nodeclaim.NodeClaim)
			is, ok2 := after.(*nodeclaim.NodeClaim)
			if !ok1 || !ok2 || !same(was, is) {
				tell(after)
			}
			if ok1 && ok2 && Workspace(was) != Workspace(is) {
				tell(before)
			}
		},
	}
}

func same(a, b *nodeclaim.NodeClaim) bool {
	x, y := *a, *b
	x.ResourceVersion, y.ResourceVersion = "", ""
	return equality.Semantic.DeepEqual(x, y)
}

// Of are the claims of a Workspace as they were read; the objects are the cache's own. known
// is false where the cluster has no such kind.
func (b *Book) Of(ctx context.Context, ws types.NamespacedName) (all []nodeclaim.NodeClaim, known bool, err error) {
	if !b.known.Load() {
		return nil, false, nil
	}
	reader := b.reader.Load()
	if reader == nil {
		return nil, true, ErrUnread
	}
	var list nodeclaim.NodeClaimList
	if err := (*reader).List(ctx, &list, client.MatchingFields{workspaceIndex: ws.String()}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, true, fmt.Errorf("list the NodeClaims of Workspace %q: %w", ws, err)
	}
	return list.Items, true, nil
}

// Live are the claims of a Workspace as the API server has them now.
func (b *Book) Live(ctx context.Context, ws types.NamespacedName) (all []nodeclaim.NodeClaim, known bool, err error) {
	var list nodeclaim.NodeClaimList
	err = b.live.List(ctx, &list, client.MatchingLabels{nodeclaim.LabelWorkspace: ws.Name, nodeclaim.LabelNamespace: ws.Namespace})
	switch {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("ask for the NodeClaims of Workspace %q: %w", ws, err)
	}
	return list.Items, true, nil
}

// Workspace is the Workspace that a claim or its node was made for.
func Workspace(o client.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetLabels()[nodeclaim.LabelNamespace], Name: o.GetLabels()[nodeclaim.LabelWorkspace]}
}

// Shrink keeps of a claim what decisions read. When a condition turned is not among it.
func Shrink(object any) (any, error) {
	c, ok := object.(*nodeclaim.NodeClaim)
	if !ok {
		return object, nil // the mark of a deletion that was missed
	}
	small := &nodeclaim.NodeClaim{ObjectMeta: metav1.ObjectMeta{
		Name: c.Name, UID: c.UID, ResourceVersion: c.ResourceVersion, DeletionTimestamp: c.DeletionTimestamp, Labels: c.Labels,
		Annotations: map[string]string{
			nodeclaim.AnnotationWorkspaceUID: c.Annotations[nodeclaim.AnnotationWorkspaceUID],
			nodeclaim.AnnotationAttempt:      c.Annotations[nodeclaim.AnnotationAttempt],
		},
	}}
	small.Status.NodeName = c.Status.NodeName
	for _, kind := range []string{nodeclaim.ConditionLaunched, nodeclaim.ConditionRegistered, nodeclaim.ConditionInitialized, nodeclaim.ConditionReady} {
		for _, one := range c.Status.Conditions {
			if one.Type == kind {
				one.LastTransitionTime, one.ObservedGeneration = metav1.Time{}, 0
				small.Status.Conditions = append(small.Status.Conditions, one)
			}
		}
	}
	return small, nil
}

// NodeOf says whether a node was made for a Workspace.
func NodeOf(n *corev1.Node, ws types.NamespacedName) bool {
	return n.Labels[nodeclaim.LabelNodePool] == nodeclaim.PoolName && Workspace(n) == ws
}

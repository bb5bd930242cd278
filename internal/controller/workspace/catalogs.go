package workspace

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/sizing"
)

// shelves is how many namespaces with catalogs of their own are kept as they were read.
const shelves = 1000

// catalogs are the models that ConfigMaps add to those that are shipped: those of a
// namespace for its Workspaces, those of the operator's namespace for all.
type catalogs struct {
	shipped *catalog.Catalog
	// home is the operator's namespace; empty is not known.
	home string

	mu sync.Mutex
	// read holds what was read last, by namespace.
	read *lru.Cache
}

// shelf is what was read, with the versions of what it was read from.
type shelf struct {
	from   string
	models *catalog.Catalog
}

func newCatalogs(shipped *catalog.Catalog, home string) *catalogs {
	return &catalogs{shipped: shipped, home: home, read: lru.New(shelves)}
}

// of are the models that a Workspace of a namespace may name. Where nothing has changed
// they are those of the pass before.
func (c *catalogs) of(ctx context.Context, cached client.Reader, namespace string) (*catalog.Catalog, error) {
	everywhere := shelf{models: c.shipped}
	if c.home != "" {
		var err error
		if everywhere, err = c.over(ctx, cached, everywhere, c.home, c.home+"/"); err != nil {
			return nil, err
		}
	}
	if namespace == c.home {
		return everywhere.models, nil
	}
	here, err := c.over(ctx, cached, everywhere, namespace, "")
	return here.models, err
}

// over puts the catalogs of a namespace over what is there; prefix stands before their names.
func (c *catalogs) over(ctx context.Context, cached client.Reader, below shelf, namespace, prefix string) (shelf, error) {
	var found corev1.ConfigMapList
	mine := append(asItIs(), client.InNamespace(namespace), client.MatchingFields{catalogIndex: yes})
	if err := cached.List(ctx, &found, mine...); err != nil {
		return shelf{}, fmt.Errorf("list the catalogs of namespace %q: %w", namespace, err)
	}
	if len(found.Items) == 0 {
		return below, nil
	}
	slices.SortFunc(found.Items, func(a, b corev1.ConfigMap) int { return strings.Compare(a.Name, b.Name) })
	now := shelf{from: below.from}
	var sources []catalog.Source
	for i := range found.Items {
		m := &found.Items[i]
		now.from += fmt.Sprintf(" %s/%s", m.UID, m.ResourceVersion)
		sources = append(sources, catalog.Source{Place: fmt.Sprintf("ConfigMap %q", prefix+m.Name), Files: m.Data})
	}
	c.mu.Lock()
	known, _ := c.read.Get(namespace)
	c.mu.Unlock()
	if before, ok := known.(shelf); ok && before.from == now.from {
		return before, nil
	}
	now.models = below.models.With(sources, engine.CheckFacts)
	c.mu.Lock()
	c.read.Add(namespace, now)
	c.mu.Unlock()
	return now, nil
}

// observeCatalogs reads what a Workspace with a preset may name.
func (r *Reconciler) observeCatalogs(ctx context.Context, o *observed) error {
	if sizing.Preset(o.ws) == nil {
		return nil
	}
	var err error
	o.models, err = r.catalogs.of(ctx, r.cached, o.ws.Namespace)
	return err
}

// yes is the value of a label, and of an index, that is on or off.
const yes = "true"

// isCatalog is true of a ConfigMap that holds models.
func isCatalog(o client.Object) bool { return o.GetLabels()[v1beta1.LabelCatalog] == yes }

// byCatalog finds the Workspaces that a catalog may concern.
func (r *Reconciler) byCatalog(ctx context.Context, o client.Object) []reconcile.Request {
	if !isCatalog(o) {
		return nil
	}
	everyPreset := func(ws *v1beta1.Workspace) bool { return sizing.Preset(ws) != nil }
	if o.GetNamespace() == r.catalogs.home {
		return r.lookUp(ctx, o, everyPreset)
	}
	return r.lookUp(ctx, o, everyPreset, client.InNamespace(o.GetNamespace()))
}

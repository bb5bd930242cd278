package karpenter

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// scripted answers as it is told; what it is not told is not asked.
type scripted struct {
	node.Provider
	observed node.Observed
	listing  node.Listing
	err      error
	asked    []string
}

func (s *scripted) Remove(_ context.Context, key node.Key, owner node.Owner) (node.Observed, error) {
	s.asked = append(s.asked, string(key)+" of "+owner.ClaimUID+" in "+owner.Cluster)
	return s.observed, s.err
}

func (s *scripted) Observe(_ context.Context, key node.Key, token string) (node.Observed, error) {
	s.asked = append(s.asked, string(key)+" with "+token)
	return s.observed, s.err
}

func (s *scripted) List(context.Context, string) (node.Listing, error) { return s.listing, s.err }

// held is a reader that finds these claims, whatever it is asked.
type held struct {
	client.Reader
	claims []nodeclaim.NodeClaim
}

func (h held) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	into.(*nodeclaim.NodeClaimList).Items = h.claims
	return nil
}

func claimed(annotations map[string]string) nodeclaim.NodeClaim {
	return nodeclaim.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "ws1", UID: "uid1", Annotations: annotations},
		Status:     nodeclaim.Status{ProviderID: "azure:///vm1"},
	}
}

func TestDeleteIsAskedAgainUntilTheMachineIsGone(t *testing.T) {
	t.Parallel()
	refused := func(class node.Class) error { return &node.Error{Class: class, Message: "in the cloud's words"} }
	for name, tc := range map[string]struct {
		observed node.State
		err      error
		gone     bool
		fails    bool
	}{
		"a machine that goes":                       {observed: node.Deleting},
		"one that is gone":                          {observed: node.Absent, gone: true},
		"one whose making cannot be given up yet":   {err: refused(node.Conflict)},
		"a name that a stranger's machine has":      {err: refused(node.Exists), gone: true},
		"a cloud that does not answer":              {err: refused(node.Transient), fails: true},
		"an identity that may not remove":           {err: refused(node.Auth), fails: true},
		"a removal that is cut off by the process":  {err: context.Canceled, fails: true},
		"one that is Failed and has leftovers":      {observed: node.Failed},
		"one that is still said to be there, Ready": {observed: node.Ready},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := &scripted{observed: node.Observed{State: tc.observed}, err: tc.err}
			claim := claimed(nil)
			err := (&cloud{provider: provider, cluster: "c"}).Delete(t.Context(), &claim)
			if gone := cloudprovider.IsNodeClaimNotFoundError(err); gone != tc.gone {
				t.Errorf("not found is %v, want %v (%v)", gone, tc.gone, err)
			}
			if fails := err != nil && !tc.gone; fails != tc.fails {
				t.Errorf("fails is %v, want %v (%v)", fails, tc.fails, err)
			}
			if tc.fails && !errors.Is(err, tc.err) {
				t.Errorf("the cause is lost: %v", err)
			}
			want := []string{string(node.KeyOf("c", "uid1")) + " of uid1 in c"}
			if diff := cmp.Diff(want, provider.asked); diff != "" {
				t.Errorf("asked of the provider (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGetGoesByTheClaimBecauseCloudsNeedNotKnowProviderIDs(t *testing.T) {
	t.Parallel()
	noted := map[string]string{nodeclaim.AnnotationKey: "kabc", nodeclaim.AnnotationToken: "token"}
	for name, tc := range map[string]struct {
		claims   []nodeclaim.NodeClaim
		observed node.State
		err      error
		asked    []string
		gone     bool
		fails    bool
	}{
		"a machine that is there":      {claims: []nodeclaim.NodeClaim{claimed(noted)}, observed: node.Ready, asked: []string{"kabc with token"}},
		"one on its way out is there":  {claims: []nodeclaim.NodeClaim{claimed(noted)}, observed: node.Deleting, asked: []string{"kabc with token"}},
		"one that is gone":             {claims: []nodeclaim.NodeClaim{claimed(noted)}, observed: node.Absent, asked: []string{"kabc with token"}, gone: true},
		"no claim":                     {gone: true},
		"a cloud that does not answer": {claims: []nodeclaim.NodeClaim{claimed(noted)}, err: &node.Error{Class: node.Transient}, asked: []string{"kabc with token"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := &scripted{observed: node.Observed{State: tc.observed}, err: tc.err}
			claim, err := (&cloud{provider: provider, cluster: "c", claims: held{claims: tc.claims}}).Get(t.Context(), "azure:///vm1")
			if gone := cloudprovider.IsNodeClaimNotFoundError(err); gone != tc.gone {
				t.Errorf("not found is %v, want %v (%v)", gone, tc.gone, err)
			}
			if fails := err != nil && !tc.gone; fails != tc.fails {
				t.Errorf("fails is %v, want %v (%v)", fails, tc.fails, err)
			}
			if err == nil && claim.Name != "ws1" {
				t.Errorf("found %q, want ws1", claim.Name)
			}
			if diff := cmp.Diff(tc.asked, provider.asked); diff != "" {
				t.Errorf("asked of the provider (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListCarriesTheProviderIDThatTheCloudOrTheClaimKnows(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	provider := &scripted{listing: node.Listing{Now: now, Machines: []node.Observed{
		{Key: "k1", Owner: node.Owner{ClaimUID: "uid1", ClaimName: "ws1"}, State: node.Ready},
		{Key: "k2", Owner: node.Owner{ClaimUID: "uid2", ClaimName: "ws2"}, State: node.Deleting, ProviderID: "azure:///vm2"},
		{Key: "k3", Owner: node.Owner{ClaimUID: "uid3", ClaimName: "ws3"}, State: node.Creating},
	}}}
	machines, err := (&cloud{provider: provider, cluster: "c", claims: held{claims: []nodeclaim.NodeClaim{claimed(nil)}}}).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range machines {
		line := m.Name + " " + m.Status.ProviderID
		if m.DeletionTimestamp != nil {
			line += " going"
		}
		got = append(got, line)
	}
	if diff := cmp.Diff([]string{"ws1 azure:///vm1", "ws2 azure:///vm2 going", "ws3 "}, got); diff != "" {
		t.Errorf("machines (-want +got):\n%s", diff)
	}
}

package render

import "fmt"

// Object is something to apply.
type Object struct {
	// Path of the object at the API server.
	Path string
	// JSON of the object.
	JSON []byte
}

// Users of components that are no part of Kubernetes.
const (
	DNSUser     = "kaito-local:coredns"
	VolumesUser = "kaito-local:volumes"
)

// Objects stand in every cluster: the storage class, and what CoreDNS and the
// volume provisioner may do.
func Objects() []Object {
	const rbac = "/apis/rbac.authorization.k8s.io/v1/"
	object := func(path, text string) Object { return Object{path, []byte(text)} }
	bind := func(role, user string) Object {
		return object(rbac+"clusterrolebindings/"+role, fmt.Sprintf(
			`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":%[1]q},`+
				`"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%[1]q},`+
				`"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%[2]q}]}`, role, user))
	}
	return []Object{
		object("/apis/storage.k8s.io/v1/storageclasses/kaito-local",
			`{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"kaito-local",`+
				`"annotations":{"storageclass.kubernetes.io/is-default-class":"true"}},`+
				`"provisioner":"kaito.sh/local","reclaimPolicy":"Delete","volumeBindingMode":"Immediate"}`),
		object(rbac+"clusterroles/kaito-local:coredns",
			`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"kaito-local:coredns"},"rules":[`+
				`{"apiGroups":[""],"resources":["services","pods","namespaces"],"verbs":["list","watch"]},`+
				`{"apiGroups":["discovery.k8s.io"],"resources":["endpointslices"],"verbs":["list","watch"]}]}`),
		bind("kaito-local:coredns", DNSUser),
		object(rbac+"clusterroles/kaito-local:volumes",
			`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"kaito-local:volumes"},"rules":[`+
				`{"apiGroups":[""],"resources":["persistentvolumes"],"verbs":["get","list","watch","create","update","patch","delete"]},`+
				`{"apiGroups":[""],"resources":["persistentvolumeclaims"],"verbs":["get","list","watch","update","patch"]},`+
				`{"apiGroups":[""],"resources":["nodes"],"verbs":["get","list","watch"]},`+
				`{"apiGroups":["","events.k8s.io"],"resources":["events"],"verbs":["create","patch","update","get","list","watch"]},`+
				`{"apiGroups":["storage.k8s.io"],"resources":["storageclasses"],"verbs":["get","list","watch"]}]}`),
		bind("kaito-local:volumes", VolumesUser),
	}
}

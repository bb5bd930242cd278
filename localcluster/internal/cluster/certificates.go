package cluster

import (
	"errors"

	"kaito.sh/kaito/localcluster/internal/pki"
	"kaito.sh/kaito/localcluster/internal/render"
)

// certificates makes the control plane's keys, certificates and kubeconfigs.
func certificates(t tools) error {
	ca, err := t.store.Authority("ca")
	if err != nil {
		return err
	}
	front, err := t.store.Authority("front-proxy-ca")
	if err != nil {
		return err
	}
	etcd, err := t.store.Authority("etcd-ca")
	if err != nil {
		return err
	}
	host, masters := t.place.HostIP(), []string{"system:masters"}
	errs := []error{
		t.store.SigningKey("sa"),
		front.Issue(pki.Leaf{File: "front-proxy-client", Name: "front-proxy-client"}),
		etcd.Issue(pki.Leaf{File: "etcd-server", Name: "etcd", Hosts: []string{host}}),
		etcd.Issue(pki.Leaf{File: "etcd-client", Name: render.APIServer}),
		ca.Issue(pki.Leaf{File: "apiserver", Name: render.APIServer, Hosts: []string{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", host, t.place.APIServiceIP(),
		}}),
		ca.Issue(pki.Leaf{File: "apiserver-kubelet-client", Name: "kube-apiserver-kubelet-client", Groups: masters}),
	}
	users := []struct{ file, user, path string }{
		{"admin", "local-admin", t.place.Kubeconfig()},
		{render.Manager, "system:kube-controller-manager", t.place.Conf(render.Manager + ".kubeconfig")},
		{render.Scheduler, "system:kube-scheduler", t.place.Conf(render.Scheduler + ".kubeconfig")},
		{render.Proxy, "system:kube-proxy", t.place.Conf(render.Proxy + ".kubeconfig")},
		{render.DNS, render.DNSUser, t.place.Conf(render.DNS + ".kubeconfig")},
		{render.Volumes, render.VolumesUser, t.place.Conf(render.Volumes + ".kubeconfig")},
	}
	for _, u := range users {
		leaf := pki.Leaf{File: u.file, Name: u.user}
		if u.file == "admin" {
			leaf.Groups = masters
		}
		if err := ca.Issue(leaf); err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, t.store.Kubeconfig(u.path, "kaito-local-"+t.place.Name, t.place.Server(), u.file))
	}
	return errors.Join(errs...)
}

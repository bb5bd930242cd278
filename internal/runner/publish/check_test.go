package publish

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kaito.sh/kaito/internal/oci/registrytest"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

func TestCheckSaysWhatTheUserCanChange(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t)
	readOnly := registrytest.Start(t)
	readOnly.Kill()
	readOnly.Flags = []string{"--read-only"}
	readOnly.Start(t)
	const create = "create it with `kubectl create secret docker-registry push --docker-server="
	for name, tc := range map[string]struct {
		at     string
		change func(*testing.T, *pod)
		reason ending.Reason
		code   int
		says   []string
	}{
		"the right credentials": {at: r.Addr + "/private/a:1"},
		"nobody is asked for credentials": {r.Addr + "/open/a:1", func(_ *testing.T, p *pod) {
			p.tune.Output.SecretName = ""
		}, "", 0, nil},
		"a Secret for another registry where none is needed": {r.Addr + "/open/b:1", func(t *testing.T, p *pod) {
			p.content(t, `{"auths":{"elsewhere.example":{"username":"a","password":"b"}}}`)
		}, "", 0, nil},
		"a wrong password": {
			r.Addr + "/private/a:1", func(t *testing.T, p *pod) { p.credentials(t, "kaito", "wrong") },
			ending.PushRefused, 2,
			[]string{`does not accept the credentials of Secret "push"`, r.Addr + "/private/a", "401 Unauthorized", "put valid ones into it"},
		},
		"no Secret where one is needed": {
			r.Addr + "/private/a:1", func(_ *testing.T, p *pod) { p.tune.Output.SecretName = "" },
			ending.PushRefused, 2,
			[]string{"from strangers (401 Unauthorized", "tuning.output.imagePushSecret", "--docker-server=" + r.Addr},
		},
		"a Secret that is not there": {
			r.Addr + "/private/a:1", func(_ *testing.T, p *pod) { _ = os.Remove(p.secret) },
			ending.PushSecretUnusable, 2,
			[]string{`Secret "push" of tuning.output.imagePushSecret does not exist`, create + r.Addr},
		},
		"a Secret that is no JSON": {
			r.Addr + "/private/a:1", func(t *testing.T, p *pod) { p.content(t, "user: kaito, password: hunter2") },
			ending.PushSecretUnusable, 2,
			[]string{"is not of type kubernetes.io/dockerconfigjson", create},
		},
		"a Secret without auths": {
			r.Addr + "/private/a:1", func(t *testing.T, p *pod) { p.content(t, `{"credHelpers":{}}`) },
			ending.PushSecretUnusable, 2,
			[]string{`has no "auths"`, create},
		},
		"a Secret whose credentials are elsewhere": {r.Addr + "/private/a:1", func(t *testing.T, p *pod) {
			p.content(t, `{"auths":{"`+r.Addr+`":{}},"credsStore":"desktop"}`)
		}, ending.PushSecretUnusable, 2, []string{"without a user and password", "docker login", create}},
		"a Secret for another registry": {r.Addr + "/private/a:1", func(t *testing.T, p *pod) {
			p.content(t, `{"auths":{"elsewhere.example":{"username":"a","password":"b"}}}`)
		}, ending.PushSecretUnusable, 2, []string{"has credentials for elsewhere.example and none for " + r.Addr, create}},
		"a registry that only shows": {
			readOnly.Addr + "/private/a:1", nil,
			ending.PushRefused, 2,
			[]string{"takes no push to " + readOnly.Addr + "/private/a (405 Method Not Allowed"},
		},
		"a registry that is down": {
			"127.0.0.1:1/private/a:1", nil,
			ending.PushUnreachable, 1,
			[]string{"127.0.0.1:1 does not take a push now", "connection refused", "NetworkPolicies"},
		},
		"a host that nobody knows": {
			"registry.invalid/private/a:1", nil,
			ending.PushUnreachable, 1,
			[]string{"registry.invalid does not take a push now"},
		},
		"a digest instead of a tag": {
			r.Addr + "/private/a@sha256:" + strings.Repeat("a", 64), nil,
			ending.ConfigInvalid, 2,
			[]string{"tuning.output.image", "it names a digest"},
		},
		"a volume": {"", func(_ *testing.T, p *pod) { p.tune.Output = contract.TuneOutput{Volume: true} }, "", 0, nil},
		"a volume that is nearly full": {"", func(_ *testing.T, p *pod) {
			p.tune.Output, p.free, p.tune.Weights.Bytes = contract.TuneOutput{Volume: true}, 1e9, 15e9
		}, ending.DiskFull, 2, []string{"tuning.output.volumeSource has 1000 MB free", "need 1500 MB"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t, tc.at)
			if tc.change != nil {
				tc.change(t, p)
			}
			err := p.check(t)
			if tc.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var end *ending.Ending
			if !errors.As(err, &end) || end.Reason != tc.reason || end.Code() != tc.code {
				t.Fatalf("got %v, want %s with code %d", err, tc.reason, tc.code)
			}
			for _, words := range tc.says {
				if !strings.Contains(end.Message, words) {
					t.Errorf("%q is missing in: %s", words, end.Message)
				}
			}
			if strings.Contains(end.Message, "hunter2") {
				t.Errorf("a secret is shown: %s", end.Message)
			}
		})
	}
}

func TestCheckOfAVolumeLeavesNothing(t *testing.T) {
	t.Parallel()
	p := newPod(t, "")
	p.tune.Output = contract.TuneOutput{Volume: true}
	if err := p.check(t); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(p.folder); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	p.folder = filepath.Join(p.folder, "not", "there")
	if err := p.check(t); err == nil {
		t.Error("a folder that is not there was written to")
	}
}

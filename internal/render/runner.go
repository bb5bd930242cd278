package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/runner/contract"
)

// runnerKey is the key of the ConfigMap that becomes contract.ConfigFile.
const runnerKey = "runner.json"

// drainSeconds is how long requests in flight may go on when a pod is told to stop.
const drainSeconds = 60

// RunnerConfigName is the name of the ConfigMap that holds the runner's contract.
func RunnerConfigName(ws *v1beta1.Workspace) string {
	return ws.Name + "-runner"
}

// RunnerConfig is the ConfigMap that tells the runner what to serve; a template has
// no runner, and this is nil.
func RunnerConfig(s Serving) *corev1ac.ConfigMapApplyConfiguration {
	if s.Template != nil {
		return nil
	}
	return corev1ac.ConfigMap(RunnerConfigName(s.Workspace), s.Workspace.Namespace).
		WithLabels(labels(s.Workspace)).
		WithOwnerReferences(owner(s.Workspace)).
		WithData(map[string]string{runnerKey: runnerJSON(s)})
}

// Contract is what the runner of a serving pod is told.
func Contract(s Serving) contract.Serve {
	var env []contract.EnvVar
	for _, name := range slices.Sorted(maps.Keys(s.Command.Env)) {
		env = append(env, contract.EnvVar{Name: name, Value: s.Command.Env[name]})
	}
	return contract.Serve{
		APIVersion: contract.Version,
		Workspace:  s.Workspace.Name,
		Model: contract.Model{
			ID:      engine.ServedID(s.Model),
			Aliases: aliases(s),
			Context: s.Plan.Context,
		},
		Engine: contract.Engine{
			Name:       s.Command.Name,
			Command:    s.Command.Args,
			Env:        env,
			URL:        s.Command.URL,
			HealthPath: s.Command.HealthPath,
			Files:      s.Command.Files,
		},
		Group:       groupContract(s),
		Weights:     s.Weights.Fetch,
		Adapters:    adapterContracts(s),
		AdapterBase: adapterBase(s),
		Limits:      contract.Limits{DrainSeconds: drainSeconds, MaxInFlight: mostInFlight(s)},
	}
}

// groupContract is nil for an engine that serves alone.
func groupContract(s Serving) *contract.Group {
	g := s.Command.Group
	if g == nil {
		return nil
	}
	return &contract.Group{
		Size: s.Plan.Nodes, Leader: leaderHost(s.Workspace), Port: contract.GroupPort, MasterFlag: g.MasterFlag, PlaceFlag: g.PlaceFlag, FollowerArgs: g.Followers,
	}
}

// leaderHost is the name of the first pod, which the headless Service gives it before it is ready.
func leaderHost(ws *v1beta1.Workspace) string {
	return fmt.Sprintf("%s-0.%s.%s.svc", ws.Name, HeadlessName(ws), ws.Namespace)
}

// groupEnv tells a pod of several which of them it is, and its engine the pod's own address.
func groupEnv(s Serving) []*corev1ac.EnvVarApplyConfiguration {
	g := s.Command.Group
	if g == nil {
		return nil
	}
	from := func(name, path string) *corev1ac.EnvVarApplyConfiguration {
		field := corev1ac.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath(path)
		return corev1ac.EnvVar().WithName(name).WithValueFrom(corev1ac.EnvVarSource().WithFieldRef(field))
	}
	return []*corev1ac.EnvVarApplyConfiguration{
		from(contract.PlaceVar, fmt.Sprintf("metadata.labels['%s']", appsv1.PodIndexLabel)),
		from(g.AddressVar, "status.podIP"),
	}
}

// mostInFlight lets as many requests wait at a GPU as are being answered, as the
// reference system does. 0 is the runner's default, which is plenty for a CPU.
func mostInFlight(s Serving) int {
	const waiting = 2
	if most := s.Plan.Slots * waiting; s.Plan.GPU != nil && most > contract.DefaultMaxInFlight {
		return most
	}
	return 0
}

// runnerJSON is indented, so that a person can read it with kubectl.
func runnerJSON(s Serving) string {
	data, err := json.MarshalIndent(Contract(s), "", "  ")
	if err != nil {
		panic("the runner's contract holds only text and numbers: " + err.Error())
	}
	return string(data) + "\n"
}

package armemulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// poolName is the rule for the names of Linux pools.
var poolName = regexp.MustCompile(`^[a-z][a-z0-9]{0,11}$`)

// wanted is what a put asks for.
type wanted struct {
	properties map[string]any
	size       string
	zones      []string
	spot       bool
	count      *int
	labels     map[string]string
	taints     []string
}

// body is the part of an agent pool that the emulator understands; the rest is kept as it is.
type body struct {
	VMSize            string            `json:"vmSize"`
	Count             *int              `json:"count"`
	AvailabilityZones []string          `json:"availabilityZones"`
	ScaleSetPriority  string            `json:"scaleSetPriority"`
	NodeLabels        map[string]string `json:"nodeLabels"`
	NodeTaints        []string          `json:"nodeTaints"`
	Tags              map[string]string `json:"tags"`
	OSDiskSizeGB      int               `json:"osDiskSizeGB"`
}

// read takes a put apart and checks everything that needs no other pool.
func (e *Emulator) read(c *call) (*wanted, *refusal) {
	if !poolName.MatchString(c.pool) {
		return nil, e.say("pool-name")
	}
	var raw struct {
		Properties map[string]any `json:"properties"`
	}
	var typed struct {
		Properties body `json:"properties"`
	}
	if err := json.Unmarshal(c.body, &raw); err != nil {
		return nil, e.say("body", "details", err.Error())
	}
	if err := json.Unmarshal(c.body, &typed); err != nil {
		return nil, e.say("body", "details", err.Error())
	}
	b := typed.Properties
	maps.DeleteFunc(raw.Properties, func(name string, value any) bool {
		list, isList := value.([]any)
		return value == nil || isList && len(list) == 0 || name == "scaleSetPriority" && value == "Regular"
	})
	w := &wanted{
		properties: raw.Properties, size: b.VMSize, zones: b.AvailabilityZones, spot: b.ScaleSetPriority == "Spot",
		count: b.Count, labels: b.NodeLabels, taints: b.NodeTaints,
	}
	return w, e.checkBody(b)
}

// The service's limits on tags and disks.
const (
	maxTags, maxTagName, maxTagValue = 50, 512, 256
	minDiskGB, maxDiskGB             = 30, 2048
)

func (e *Emulator) checkBody(b body) *refusal {
	bad := func(parameter, format string, args ...any) *refusal {
		return e.say("parameter", "parameter", "agentPoolProfile."+parameter, "details", fmt.Sprintf(format, args...))
	}
	if b.Count != nil && (*b.Count < 0 || *b.Count > 1000) {
		return e.say("count", "count", fmt.Sprint(*b.Count))
	}
	if b.OSDiskSizeGB != 0 && (b.OSDiskSizeGB < minDiskGB || b.OSDiskSizeGB > maxDiskGB) {
		return bad("osDiskSizeGB", "the OS disk size %d GB is not between %d and %d", b.OSDiskSizeGB, minDiskGB, maxDiskGB)
	}
	if refused := checkNodes(b, bad); refused != nil {
		return refused
	}
	return checkTags(b.Tags, bad)
}

// complaint makes the refusal of a parameter.
type complaint func(parameter, format string, args ...any) *refusal

// checkNodes checks what nodes are to join with.
func checkNodes(b body, bad complaint) *refusal {
	for key, value := range b.NodeLabels {
		if wrong := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(wrong) > 0 {
			return bad("nodeLabels", "label %q=%q: %s", key, value, strings.Join(wrong, "; "))
		}
		if strings.HasPrefix(key, "kubernetes.azure.com/") {
			return bad("nodeLabels", "label %q has the prefix kubernetes.azure.com/, which is reserved", key)
		}
	}
	for _, taint := range b.NodeTaints {
		rest, effect, whole := cutLast(taint, ":")
		key, value, _ := strings.Cut(rest, "=")
		wrong := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...)
		if !whole || len(wrong) > 0 || effect != "NoSchedule" && effect != "PreferNoSchedule" && effect != "NoExecute" {
			return bad("nodeTaints", "taint %q is not of the form key=value:effect", taint)
		}
	}
	return nil
}

func checkTags(tags map[string]string, bad complaint) *refusal {
	if len(tags) > maxTags {
		return bad("tags", "%d tags are more than %d", len(tags), maxTags)
	}
	for name, value := range tags {
		if name == "" || len(name) > maxTagName || strings.ContainsAny(name, `<>%&\?/`) || len(value) > maxTagValue {
			return bad("tags", "tag %q: its name has 1 to %d characters without <>%%&\\?/, its value at most %d", name, maxTagName, maxTagValue)
		}
	}
	return nil
}

func cutLast(text, sep string) (before, after string, found bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

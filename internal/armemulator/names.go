package armemulator

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// digits are the eight in the names of a cluster's nodes.
func digits(o Options) string {
	sum := sha256.Sum256([]byte(strings.ToLower(o.Subscription + "/" + o.Group + "/" + o.Cluster)))
	return fmt.Sprintf("%08d", binary.BigEndian.Uint32(sum[:4])%100_000_000)
}

// guid is the n-th unique id of this cloud, in the usual shape.
func (e *Emulator) guid(n int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", e.o.Subscription, e.o.Cluster, n))
	text := hex.EncodeToString(sum[:16])
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// unique is a new one; mu is held.
func (e *Emulator) unique() string {
	e.state.Serial++
	return e.guid(e.state.Serial)
}

func (e *Emulator) clusterID() string {
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.ContainerService/managedClusters/%s",
		e.o.Subscription, e.o.Group, e.o.Cluster)
}

// NodeGroup is the resource group that Azure makes for the cluster's machines.
func (e *Emulator) NodeGroup() string {
	return fmt.Sprintf("MC_%s_%s_%s", e.o.Group, e.o.Cluster, e.o.Region)
}

func (e *Emulator) poolID(pool string) string { return e.clusterID() + "/agentPools/" + pool }

func (e *Emulator) scaleSet(pool string) string { return "aks-" + pool + "-" + e.digits + "-vmss" }

// nodeName is a machine's: the scale set's, and its number in six digits of base 36.
func (e *Emulator) nodeName(pool string, index int) string {
	number := strings.ToLower(strconv.FormatInt(int64(index), 36))
	return e.scaleSet(pool) + strings.Repeat("0", max(0, 6-len(number))) + number
}

// resourceID is the machine as the compute service names it.
func (e *Emulator) resourceID(pool string, index int) string {
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/virtualMachineScaleSets/%s/virtualMachines/%d",
		e.o.Subscription, e.NodeGroup(), e.scaleSet(pool), index)
}

// providerID is what the cloud's controller writes on the node: the same with the group in
// lower case.
func (e *Emulator) providerID(pool string, index int) string {
	return fmt.Sprintf("azure:///subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/virtualMachineScaleSets/%s/virtualMachines/%d",
		e.o.Subscription, strings.ToLower(e.NodeGroup()), e.scaleSet(pool), index)
}

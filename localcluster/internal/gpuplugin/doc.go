// Package gpuplugin offers stand-in GPUs to a kubelet through its real device
// plugin API, so that a machine without a GPU schedules, counts and takes away
// GPUs as a GPU node does. A container that gets one finds the numbers of its
// devices in NVIDIA_VISIBLE_DEVICES, and no device file.
package gpuplugin

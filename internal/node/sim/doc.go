// Package sim is a provider without a cloud: its machines are Node objects that it keeps alive.
package sim

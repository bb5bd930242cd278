// Package repair replaces nodes that stay broken, within limits.
package repair

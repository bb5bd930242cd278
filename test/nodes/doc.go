// Package nodes holds the tests of operator and provisioner together: each knows NodeClaims
// alone of the other, and here both run, with the rights of their charts, on a real API
// server and a simulated cloud.
package nodes

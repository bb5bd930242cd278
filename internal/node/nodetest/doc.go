// Package nodetest is the contract of providers as a suite of tests: every provider passes it.
package nodetest

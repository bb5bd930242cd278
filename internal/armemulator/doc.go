// Package armemulator speaks Azure Resource Manager's protocol for agent pools, for tests and laptops.
package armemulator

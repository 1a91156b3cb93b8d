// Package order has files in an order, for the tests of archtest.
package order

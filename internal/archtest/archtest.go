// Package archtest has the tests of what no compiler looks at: who may import
// whom, what is exported, how long files and functions are, and whether the
// code in README.md is code.
package archtest

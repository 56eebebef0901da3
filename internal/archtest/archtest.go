// Package archtest tests the properties that no compiler checks: the imports of
// each package, the exported API, the sizes of files and functions, the prose of
// comments, the place of each test, and the code and links of the pages.
package archtest

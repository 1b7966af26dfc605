// Package vectors puts test vectors that others wrote to the plugin: Wycheproof's and the examples of RFC 7515, 7520, 7638,
// 7797 and 8037. It has tests only.
//
// The middleware accepts tokens alone: a message that is not a set of claims is refused before its signature is looked at. So
// there are two ways to ask. A token whose verdict can be read from outside comes in a request, to the compiled and to the
// interpreted middleware. A bare signature is put to the plugin's package jose, compiled and interpreted likewise: see package
// probe.
package vectors

package transport_test

import (
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"runtime"
	"strings"
)

var (
	ignore = []byte{2, 0, 0, 0, 0}
	debug  = []byte{4, 1, 0, 0, 0, 1, 'x', 0, 0, 0, 0}
	ping   = []byte{192, 0, 0, 0, 1, 'p'}
)

// misplaced are messages from outside of key exchanges.
var misplaced = map[string][]byte{
	"SERVICE_REQUEST":  {5, 0, 0, 0, 1, 'x'},
	"SERVICE_ACCEPT":   {6, 0, 0, 0, 1, 'x'},
	"EXT_INFO":         {7, 0, 0, 0, 0},
	"number 8":         {8},
	"number 22":        {22},
	"USERAUTH_FAILURE": {51, 0, 0, 0, 0, 0},
	"USERAUTH_SUCCESS": {52},
	"USERAUTH_BANNER":  {53, 0, 0, 0, 0, 0, 0, 0, 0},
	"GLOBAL_REQUEST":   {80, 0, 0, 0, 1, 'x', 1},
	"CHANNEL_OPEN":     {90, 0, 0, 0, 1, 'x'},
	"CHANNEL_DATA":     {94, 0, 0, 0, 0, 0, 0, 0, 0},
	"PING":             ping, // K23
	"PONG":             {193, 0, 0, 0, 0},
	"number 255":       {255},
	"number 0":         {0},
}

// harmless are messages allowed everywhere by RFC 4253 section 7.1.
var harmless = map[string][]byte{"IGNORE": ignore, "DEBUG": debug, "UNIMPLEMENTED": {3, 0, 0, 0, 0}}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func text(number byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{number}, uint32(len(s))), s...)
}

func extInfo(pairs ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{7}, uint32(len(pairs)/2))
	for _, s := range pairs {
		b = append(b, text(0, s)[1:]...)
	}
	return b
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// group14 returns the prime of RFC 3526 section 3.
func group14() *big.Int {
	const prime = `FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD
EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED
EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F
83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B
E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510
15728E5A8AACAA68FFFFFFFFFFFFFFFF`
	return new(big.Int).SetBytes(unhex(strings.ToLower(strings.ReplaceAll(prime, "\n", ""))))
}

package secrets

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The encrypted file, version 1, numbers in big endian:
//
//	"MOORSEC" 1
//	time u32, memory u32 (KiB), threads u8, salt [16]   of Argon2id; 0 where the key is in the keyring
//	key [60]                                            the key of the secrets, sealed with that of the file
//	count u16, then count times, in order of the ids:
//	  length u8, id; length u32, secret                 sealed with the key, bound to the id
//	checksum [32]                                       SHA-256 of all that
//
// Sealed is AES-256-GCM with its random nonce in front. The checksum tells a file
// that was damaged from a passphrase that is wrong. Ids are not secret: state files
// have them too, and a secret can be forgotten without the passphrase.

const (
	formatMagic   = "MOORSEC"
	formatVersion = 1
	keySize       = 32
	saltSize      = 16
	sealedExtra   = 12 + 16 // nonce and tag
	sealedKey     = keySize + sealedExtra

	maxEntries = 4096
	maxID      = 64
	maxFile    = 64 << 20
)

// kdf is how costly it is to try a passphrase.
type kdf struct {
	time    uint32
	memory  uint32 // KiB
	threads uint8
}

// cost is RFC 9106's second recommendation.
var cost = kdf{time: 3, memory: 64 << 10, threads: 4}

// Bounds of what a file may ask for.
const (
	maxTime   = 64
	maxMemory = 256 << 10 // KiB
)

func (k kdf) valid() bool {
	return k == kdf{} || k.time > 0 && k.time <= maxTime && k.threads > 0 && k.memory >= 8*uint32(k.threads) && k.memory <= maxMemory
}

// entry is a sealed secret.
type entry struct {
	id     string
	sealed []byte
}

// box is an encrypted file in memory.
type box struct {
	kdf     kdf
	salt    [saltSize]byte
	key     []byte // sealed
	entries []entry
}

// newBox makes an empty one and the key of its secrets; lock seals that key.
func newBox(rand io.Reader, k kdf) (*box, []byte, error) {
	b := &box{kdf: k}
	key := make([]byte, keySize)
	if _, err := io.ReadFull(rand, key); err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	return b, key, nil
}

// derive is the key of the file for a passphrase.
func (b *box) derive(passphrase string) []byte {
	return argon2.IDKey([]byte(passphrase), b.salt[:], b.kdf.time, b.kdf.memory, b.kdf.threads, keySize)
}

// byPassphrase reports whether the key of the file comes from a passphrase.
func (b *box) byPassphrase() bool { return b.kdf != kdf{} }

// lock seals key, the one of the secrets, with that of the file.
func (b *box) lock(fileKey, key []byte) { b.key = seal(fileKey, key, "") }

// unlock returns the key of the secrets; ErrPassphrase if fileKey is another file's.
func (b *box) unlock(fileKey []byte) ([]byte, error) {
	key, err := unseal(fileKey, b.key, "")
	if err != nil {
		return nil, ErrPassphrase
	}
	return key, nil
}

func (b *box) find(id string) (int, bool) {
	return slices.BinarySearchFunc(b.entries, id, func(e entry, id string) int { return strings.Compare(e.id, id) })
}

func (b *box) get(key []byte, id string) (string, error) {
	i, ok := b.find(id)
	if !ok {
		return "", ErrNotFound
	}
	s, err := unseal(key, b.entries[i].sealed, id)
	if err != nil {
		return "", ErrDamaged
	}
	return string(s), nil
}

func (b *box) set(key []byte, id, secret string) error {
	if len(id) == 0 || len(id) > maxID {
		return fmt.Errorf("%q is no id", id)
	}
	e := entry{id, seal(key, []byte(secret), id)}
	i, ok := b.find(id)
	switch {
	case ok:
		b.entries[i] = e
	case len(b.entries) >= maxEntries:
		return fmt.Errorf("%w: it has %d secrets", ErrTooBig, maxEntries)
	default:
		b.entries = slices.Insert(b.entries, i, e)
	}
	return nil
}

// remove reports whether there was something to be removed.
func (b *box) remove(id string) bool {
	i, ok := b.find(id)
	if ok {
		b.entries = slices.Delete(b.entries, i, i+1)
	}
	return ok
}

func (b *box) ids() []string {
	l := make([]string, 0, len(b.entries))
	for _, e := range b.entries {
		l = append(l, e.id)
	}
	return l
}

func (b *box) encode() []byte {
	out := append([]byte(formatMagic), formatVersion)
	out = binary.BigEndian.AppendUint32(out, b.kdf.time)
	out = binary.BigEndian.AppendUint32(out, b.kdf.memory)
	out = append(out, b.kdf.threads)
	out = append(out, b.salt[:]...)
	out = append(out, b.key...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(b.entries)))
	for _, e := range b.entries {
		out = append(out, byte(len(e.id)))
		out = append(out, e.id...)
		out = binary.BigEndian.AppendUint32(out, uint32(len(e.sealed)))
		out = append(out, e.sealed...)
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

// decode reads what encode wrote: ErrVersion if it is of a later version,
// ErrDamaged if it is anything else.
func decode(file []byte) (*box, error) {
	if len(file) > len(formatMagic) && string(file[:len(formatMagic)]) == formatMagic && file[len(formatMagic)] > formatVersion {
		return nil, ErrVersion
	}
	if len(file) < sha256.Size || len(file) > maxFile {
		return nil, ErrDamaged
	}
	body, sum := file[:len(file)-sha256.Size], file[len(file)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, ErrDamaged
	}
	return decodeBody(body)
}

func decodeBody(body []byte) (*box, error) {
	d := decoder{rest: body}
	magic, version := d.take(len(formatMagic)), d.take(1)
	b := &box{kdf: kdf{time: d.u32(), memory: d.u32()}}
	if t := d.take(1); t != nil {
		b.kdf.threads = t[0]
	}
	copy(b.salt[:], d.take(saltSize))
	b.key = slices.Clone(d.take(sealedKey))
	n := int(d.u16())
	if d.bad || string(magic) != formatMagic || version[0] != formatVersion || !b.kdf.valid() || n > maxEntries {
		return nil, ErrDamaged
	}
	for range n {
		var e entry
		if l := d.take(1); l != nil {
			e.id = string(d.take(int(l[0])))
		}
		size := d.u32()
		if size > MaxSecret+sealedExtra {
			return nil, ErrDamaged
		}
		e.sealed = slices.Clone(d.take(int(size)))
		inOrder := len(b.entries) == 0 || b.entries[len(b.entries)-1].id < e.id
		if d.bad || len(e.id) == 0 || len(e.id) > maxID || size < sealedExtra || !inOrder {
			return nil, ErrDamaged
		}
		b.entries = append(b.entries, e)
	}
	if len(d.rest) > 0 {
		return nil, ErrDamaged
	}
	return b, nil
}

// decoder takes bytes from the front of rest; bad if there were not enough.
type decoder struct {
	rest []byte
	bad  bool
}

// take returns nil if there are not so many.
func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.rest) {
		d.bad = true
		return nil
	}
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// aead is AES-256-GCM under key, which has 32 bytes.
func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err == nil {
		var a cipher.AEAD
		if a, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return a
		}
	}
	panic(err) // a key of another length
}

// seal seals plain, bound to what it is for.
func seal(key, plain []byte, what string) []byte {
	return aead(key).Seal(nil, nil, plain, []byte(what))
}

func unseal(key, sealed []byte, what string) ([]byte, error) {
	return aead(key).Open(nil, nil, sealed, []byte(what))
}

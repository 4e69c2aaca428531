package pktline

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestNext(t *testing.T) {
	long := strings.Repeat("x", MaxPayload)
	r := NewReader(strings.NewReader("0006a\n0000000100020004" + string(Append(nil, long)) + "0009ERR x"))
	for _, want := range []struct {
		kind Kind
		data string
	}{{Data, "a\n"}, {Flush, ""}, {Delim, ""}, {ResponseEnd, ""}, {Data, ""}, {Data, long}} {
		if k, b, err := r.Next(); err != nil || k != want.kind || string(b) != want.data {
			t.Errorf("%v %.20q %v, want %v %.20q", k, b, err, want.kind, want.data)
		}
	}
	var remote *RemoteError
	if _, _, err := r.Next(); !errors.As(err, &remote) || remote.Message != "x" {
		t.Errorf("ERR: %v", err)
	}
	if _, _, err := r.Next(); err != io.EOF {
		t.Errorf("end: %v", err)
	}
	for _, tc := range []struct {
		in   string
		want error
	}{{"0003", ErrMalformed}, {"fff1" + long, ErrMalformed}, {"ffff", ErrMalformed}, {"xxxx", ErrMalformed}, {"-001", ErrMalformed}, {"00", io.ErrUnexpectedEOF}, {"0009ab", io.ErrUnexpectedEOF}, {"0009", io.ErrUnexpectedEOF}} {
		if _, _, err := NewReader(strings.NewReader(tc.in)).Next(); !errors.Is(err, tc.want) {
			t.Errorf("%.10q: %v, want %v", tc.in, err, tc.want)
		}
	}
}

func TestSideband(t *testing.T) {
	read := func(in string) (string, error) {
		b, err := io.ReadAll(NewSideband(NewReader(strings.NewReader(in))))
		return string(b), err
	}
	if s, err := read("0006\x01a0005\x010006\x02p0007\x01bc0000rest"); s != "abc" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	var remote *RemoteError
	if s, err := read("0006\x01a000b\x03no\x1b[1m\n"); s != "a" || !errors.As(err, &remote) || remote.Message != "no [1m" {
		t.Errorf("%q, %v", s, err)
	}
	if _, err := read("0006\x01a"); err != io.ErrUnexpectedEOF {
		t.Errorf("cut off: %v", err)
	}
	for name, frame := range map[string]string{"keep-alives": "0005\x01", "progress": "0009\x02more", "band 4": "0005\x04", "no band": "0004"} {
		if _, err := read(strings.Repeat(frame, 1<<15)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("0006a\n00000001000200040009ERR x"))
	f.Add([]byte("0006\x01a0005\x010006\x02p0007\x03bc0000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		var out []byte
		for {
			k, data, err := r.NextRaw()
			if err != nil {
				break
			}
			switch k {
			case Data:
				out = Append(out, string(data))
			case Flush:
				out = AppendFlush(out)
			case Delim:
				out = AppendDelim(out)
			case ResponseEnd:
				out = append(out, "0002"...)
			}
		}
		if !bytes.EqualFold(out, b[:len(out)]) {
			t.Fatalf("%q became %q", b, out)
		}
		io.Copy(io.Discard, NewSideband(NewReader(bytes.NewReader(b))))
	})
}

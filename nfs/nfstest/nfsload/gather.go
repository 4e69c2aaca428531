package main

import "net"

// gather is what goes out with one write. Its memory is used again each time.
type gather struct {
	out   []byte // without the data of own
	own   []piece
	bufs  net.Buffers
	array [][]byte // the memory of bufs
}

// piece is data that goes out behind out[:at] without being copied.
type piece struct {
	at   int
	data []byte
}

// sendTo writes all of it and empties g.
func (g *gather) sendTo(nc net.Conn) (err error) {
	switch {
	case len(g.out) == 0:
		return nil
	case len(g.own) == 0:
		_, err = nc.Write(g.out)
	default:
		list, at := g.array[:0], 0
		for _, p := range g.own {
			list = append(list, g.out[at:p.at], p.data)
			at = p.at
		}
		if at < len(g.out) {
			list = append(list, g.out[at:])
		}
		g.array, g.bufs = list, list
		_, err = g.bufs.WriteTo(nc)
		g.own = g.own[:0]
	}
	g.out = g.out[:0]
	return err
}

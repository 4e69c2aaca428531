//go:build unix

package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/moorage/moorage/daemon/internal/control"
)

const (
	talkTime = 5 * time.Second  // that a client may take
	idleTime = 10 * time.Second // without a listener, after which a keeper ends
	lookTime = 30 * time.Second // between looks whether the socket is there
)

// Serve keeps listeners for clients of this user at socket, until ctx is done or it has
// had none to keep for a while. Another keeper at socket gives a *control.RunningError.
func Serve(ctx context.Context, socket string, log *slog.Logger) error {
	return serve(ctx, socket, log, idleTime)
}

func serve(ctx context.Context, socket string, log *slog.Logger, idle time.Duration) error {
	l, err := control.Listen(socket, log)
	if err != nil {
		return err
	}
	k := &keeper{log: log, kept: make(map[string]*net.TCPListener), idleTime: idle, idle: time.NewTimer(idle)}
	defer k.end()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() { // ends Accept
		defer l.Close()
		look := time.NewTicker(lookTime)
		defer look.Stop()
		for {
			select {
			case <-look.C:
				if _, err := os.Lstat(socket); errors.Is(err, fs.ErrNotExist) {
					return // nobody finds it any more, as after a logout
				}
			case <-ctx.Done():
				return
			case <-stop:
				return
			case <-k.idle.C:
				if k.leave() {
					return
				}
			}
		}
	})
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		wg.Go(func() { k.answer(ctx, c.(*net.UnixConn)) })
	}
}

type keeper struct {
	log *slog.Logger

	idleTime time.Duration

	mu    sync.Mutex
	kept  map[string]*net.TCPListener // by drive
	idle  *time.Timer                 // runs while there is none
	ended bool                        // nothing is kept any more
}

// leave reports whether there is nothing to keep, and lets nothing come.
func (k *keeper) leave() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = len(k.kept) == 0
	return k.ended
}

func (k *keeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.kept {
		l.Close()
	}
}

func (k *keeper) answer(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	if c.SetDeadline(time.Now().Add(talkTime)) != nil {
		return
	}
	line, err := readLine(c)
	var q request
	if err == nil {
		q, err = decodeRequest(line)
	}
	var l *net.TCPListener
	if err == nil {
		l, err = k.do(ctx, q)
	}
	var a answer
	var rights []byte
	if err != nil {
		a.Error = err.Error()[:min(len(err.Error()), maxLine/4)]
		k.log.Warn("a request was refused", "drive", q.Drive, "err", err)
	}
	if l != nil {
		f, err := l.File()
		if err != nil {
			return
		}
		defer f.Close()
		rights = syscall.UnixRights(int(f.Fd()))
	}
	b, err := json.Marshal(a)
	if err != nil {
		return
	}
	if _, _, err := c.WriteMsgUnix(append(b, '\n'), rights, nil); err != nil {
		k.log.Warn("a client did not take the answer", "err", err)
	}
}

// do gives the listener that was asked for, nil if it was given back.
func (k *keeper) do(ctx context.Context, q request) (*net.TCPListener, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.kept[q.Drive]
	switch {
	case q.Drop && l != nil:
		delete(k.kept, q.Drive)
		if len(k.kept) == 0 {
			k.idle.Reset(k.idleTime)
		}
		return nil, l.Close()
	case q.Drop, l != nil:
		return l, nil
	case len(k.kept) == maxDrives || k.ended:
		return nil, errors.New("too many drives, or the end")
	}
	var lc net.ListenConfig
	opened, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(q.Port))))
	if err != nil {
		return nil, err
	}
	k.idle.Stop()
	l = opened.(*net.TCPListener)
	k.kept[q.Drive] = l
	return l, nil
}

package keeper

import (
	"context"
	"log/slog"
	"net"
)

// Client finds no keeper.
type Client struct{}

// NewClient makes a client that finds no keeper.
func NewClient(string, func() error) *Client { return &Client{} }

// Listen fails with ErrUnsupported.
func (*Client) Listen(context.Context, string, uint16) (net.Listener, error) {
	return nil, ErrUnsupported
}

// Drop does nothing.
func (*Client) Drop(context.Context, string) error { return nil }

// Serve fails with ErrUnsupported.
func Serve(context.Context, string, *slog.Logger) error { return ErrUnsupported }

package s3_test

import (
	"testing"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/providertest"
	"github.com/moorage/moorage/providers/s3"
	"github.com/moorage/moorage/providers/s3/s3test"
)

func TestProvider(t *testing.T) {
	srv := s3test.Start(t)
	providertest.Run(t, func(t *testing.T) providers.Provider {
		return srv.Open(t, srv.Bucket(t), "", s3.Options{PageSize: 7})
	})
}

func TestProviderBelowPrefix(t *testing.T) {
	srv := s3test.Start(t)
	providertest.Run(t, func(t *testing.T) providers.Provider {
		return srv.Open(t, srv.Bucket(t), "some/folder", s3.Options{})
	})
}

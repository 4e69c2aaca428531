package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// What Amazon's library does by itself, with as many requests at a time as the
// drive makes, and parts of the size that the drive has.
const (
	sdkReads = 8
	sdkRange = 2 << 20
	sdkParts = 8
	sdkPart  = 8 << 20
	sdkFiles = 16
	sdkNames = 1000
)

// object is an object that is read by requests for ranges.
type object struct {
	c           *awss3.Client
	bucket, key string
}

func (f *far) object(key string) object { return object{f.sdk, f.bucket, key} }

func (o object) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	span := fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)
	out, err := o.c.GetObject(ctx, &awss3.GetObjectInput{Bucket: &o.bucket, Key: &o.key, Range: &span})
	if err != nil {
		return 0, err
	}
	defer out.Body.Close()
	return io.ReadFull(out.Body, p)
}

func put(ctx context.Context, c *awss3.Client, bucket, key string, b []byte) error {
	_, err := c.PutObject(ctx, &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(b)})
	return err
}

// putParts uploads an object in parts, so many at a time.
func putParts(ctx context.Context, c *awss3.Client, bucket, key string, size, part int64, depth int, body func(i int, n int64) io.ReadSeeker) error {
	made, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	done := make([]types.CompletedPart, (size+part-1)/part)
	err = blocks(ctx, size, part, depth, func(ctx context.Context, off, n int64) error {
		i := int(off / part)
		number := int32(i + 1)
		out, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: made.UploadId, PartNumber: &number, Body: body(i, n)})
		if err == nil {
			done[i] = types.CompletedPart{PartNumber: &number, ETag: out.ETag}
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: made.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	return err
}

// upload sends a file of this computer over the link.
func (f *far) upload(ctx context.Context, path, key string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	return putParts(ctx, f.sdk, f.bucket, key, st.Size(), sdkPart, sdkParts, func(i int, n int64) io.ReadSeeker {
		return io.NewSectionReader(in, int64(i)*sdkPart, n)
	})
}

// uploadAll sends n small files over the link.
func (f *far) uploadAll(ctx context.Context, n int, file func(i int) (key string, b []byte)) error {
	return blocks(ctx, int64(n), 1, sdkFiles, func(ctx context.Context, i, _ int64) error {
		key, b := file(int(i))
		return put(ctx, f.sdk, f.bucket, key, b)
	})
}

// list lists a folder page by page.
func (f *far) list(ctx context.Context, folder string) (n int, err error) {
	prefix, slash := folder+"/", "/"
	var token *string
	for {
		out, err := f.sdk.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &f.bucket, Prefix: &prefix, Delimiter: &slash, ContinuationToken: token, EncodingType: types.EncodingTypeUrl})
		if err != nil {
			return n, err
		}
		n += len(out.Contents)
		if token = out.NextContinuationToken; token == nil {
			return n, nil
		}
	}
}

// warm makes n connections, which a program that has looked around has.
func (f *far) warm(ctx context.Context, n int) error {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		wg.Go(func() {
			one, none := int32(1), "none/"
			_, err := f.sdk.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &f.bucket, Prefix: &none, MaxKeys: &one})
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

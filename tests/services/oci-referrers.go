// oci-referrers serves a registry that lists referrers by itself (distribution-spec, "Listing Referrers"),
// and lists what any registry knows to refer to an image, by that list or by its fallback tag.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: oci-referrers serve ADDRESS | oci-referrers list REPOSITORY@DIGEST")
	}
	if os.Args[1] == "serve" {
		log.Fatal(http.ListenAndServe(os.Args[2], registry.New(registry.WithReferrersSupport(true))))
	}
	if err := list(os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// list prints the digest and the type of each.
func list(image string) error {
	digest, err := name.NewDigest(image)
	if err != nil {
		return err
	}
	index, err := remote.Referrers(digest)
	if err != nil {
		return err
	}
	found, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, each := range found.Manifests {
		fmt.Println(each.Digest, each.ArtifactType)
	}
	return nil
}

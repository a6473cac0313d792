// The two steps of a kubelet and a container runtime that concern the label of a volume: whether the
// kubelet asks for another label on the volume, and the change of the label.
//
//	relabel PATH CONTEXT
//
// Prints {"isRequested":BOOLEAN,"error":TEXT}; without the error where the label was changed.
package main

import (
	"encoding/json"
	"os"

	"github.com/opencontainers/selinux/go-selinux/label"
	"k8s.io/kubernetes/pkg/volume/util/hostutil"
)

type outcome struct {
	IsRequested bool   `json:"isRequested"`
	Error       string `json:"error,omitempty"`
}

func main() {
	isRequested, err := hostutil.NewHostUtil().GetSELinuxSupport(os.Args[1])
	if err != nil {
		panic(err)
	}
	result := outcome{IsRequested: isRequested}
	if err := label.Relabel(os.Args[1], os.Args[2], false); err != nil {
		result.Error = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(result)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/containernetworking/cni/libcni"
)

const cache = "/var/lib/cni"

type attachment struct {
	Container string
	Netns     string
	Port      int
}

// Attach runs the operation of libcni for all attachments at once.
func attach(asked *request) error {
	list, err := libcni.ConfListFromFile(asked.List)
	if err != nil {
		return err
	}
	path := filepath.SplitList(asked.Path)
	cni := libcni.NewCNIConfigWithCacheDir(path, cache, nil)
	errors := make([]error, len(asked.Attachments))
	var all sync.WaitGroup
	for i := range asked.Attachments {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			errors[i] = one(cni, asked.Operation, list, &asked.Attachments[i])
		}(i)
	}
	all.Wait()
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}

func one(cni *libcni.CNIConfig, operation string, list *libcni.NetworkConfigList,
	to *attachment) error {
	ctx := context.Background()
	runtime := &libcni.RuntimeConf{
		ContainerID: to.Container,
		NetNS:       to.Netns,
		IfName:      "eth0",
		CapabilityArgs: map[string]interface{}{
			"portMappings": []map[string]interface{}{
				{"hostPort": to.Port, "containerPort": 80, "protocol": "tcp"},
			},
		},
	}
	switch operation {
	case "add":
		_, err := cni.AddNetworkList(ctx, list, runtime)
		return err
	case "check":
		return cni.CheckNetworkList(ctx, list, runtime)
	}
	return cni.DelNetworkList(ctx, list, runtime)
}

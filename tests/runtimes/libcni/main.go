// SPDX-License-Identifier: Apache-2.0

// Command libcni runs one operation of libcni on a network configuration list.
//
//	libcni add|check|del|validate LIST CONTAINER NETNS IFNAME
//
// LIST is a file. CNI_PATH names the plugin directories, CNI_ARGS and CAP_ARGS
// are passed on, CNI_CACHE is the directory of the result cache. With CNI_CACHED,
// list and arguments of check and del are those of the cache, as CRI-O has them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
)

func main() {
	if len(os.Args) != 6 {
		fail(fmt.Errorf("want 5 arguments, got %d", len(os.Args)-1))
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func run(operation, file string, attachment []string) error {
	list, err := libcni.ConfListFromFile(file)
	if err != nil {
		return err
	}
	runtime, err := runtimeConf(attachment)
	if err != nil {
		return err
	}
	path := filepath.SplitList(os.Getenv("CNI_PATH"))
	cni := libcni.NewCNIConfigWithCacheDir(path, os.Getenv("CNI_CACHE"), nil)
	ctx := context.Background()
	if os.Getenv("CNI_CACHED") != "" {
		kept, keptConf, err := cni.GetNetworkListCachedConfig(list, runtime)
		if err != nil {
			return err
		}
		if list, err = libcni.ConfListFromBytes(kept); err != nil {
			return err
		}
		runtime = keptConf
	}
	switch operation {
	case "add":
		result, err := cni.AddNetworkList(ctx, list, runtime)
		if err != nil {
			return err
		}
		return result.Print()
	case "check":
		return cni.CheckNetworkList(ctx, list, runtime)
	case "del":
		return cni.DelNetworkList(ctx, list, runtime)
	case "validate":
		_, err := cni.ValidateNetworkList(ctx, list)
		return err
	}
	return fmt.Errorf("unknown operation %q", operation)
}

func runtimeConf(attachment []string) (*libcni.RuntimeConf, error) {
	conf := &libcni.RuntimeConf{
		ContainerID: attachment[0],
		NetNS:       attachment[1],
		IfName:      attachment[2],
	}
	for _, pair := range strings.Split(os.Getenv("CNI_ARGS"), ";") {
		if key, value, found := strings.Cut(pair, "="); found {
			conf.Args = append(conf.Args, [2]string{key, value})
		}
	}
	if text := os.Getenv("CAP_ARGS"); text != "" {
		if err := json.Unmarshal([]byte(text), &conf.CapabilityArgs); err != nil {
			return nil, fmt.Errorf("parse CAP_ARGS: %w", err)
		}
	}
	return conf, nil
}

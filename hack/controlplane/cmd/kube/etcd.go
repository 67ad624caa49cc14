package main

import (
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
)

// newEtcdCommand runs a single etcd member that never calls fsync: the data lives as long as one test
// cluster, and a disk's fsync latency would otherwise be most of every write.
func newEtcdCommand() *cobra.Command {
	var dataDir, clientURL, peerURL string
	var quotaBytes int64
	command := &cobra.Command{
		Use:          "etcd",
		SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			client, err := url.Parse(clientURL)
			if err != nil {
				return err
			}
			peer, err := url.Parse(peerURL)
			if err != nil {
				return err
			}
			config := embed.NewConfig()
			config.Dir = dataDir
			config.LogLevel = "error"
			config.UnsafeNoFsync = true
			config.ListenClientUrls = []url.URL{*client}
			config.AdvertiseClientUrls = []url.URL{*client}
			config.ListenPeerUrls = []url.URL{*peer}
			config.AdvertisePeerUrls = []url.URL{*peer}
			config.InitialCluster = config.InitialClusterFromName(config.Name)
			config.AutoCompactionMode = "periodic"
			config.AutoCompactionRetention = "10m"
			config.QuotaBackendBytes = quotaBytes
			etcd, err := embed.StartEtcd(config)
			if err != nil {
				return err
			}
			defer etcd.Close()
			<-etcd.Server.ReadyNotify()
			stop := make(chan os.Signal, 1)
			signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
			select {
			case <-stop:
				return nil
			case err := <-etcd.Err():
				return fmt.Errorf("etcd stopped: %w", err)
			}
		},
	}
	command.Flags().StringVar(&dataDir, "data-dir", "", "folder of the data")
	command.Flags().StringVar(&clientURL, "client-url", "", "URL for clients")
	command.Flags().StringVar(&peerURL, "peer-url", "", "URL for peers (there are none, but etcd insists)")
	command.Flags().Int64Var(&quotaBytes, "quota-backend-bytes", 8<<30, "size of the data from which on writes are refused")
	return command
}

// The same as client.py, by gRPC's own client for Go.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/health" // Looks at the workers' health, as the service config asks.
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"sparkler/api"
)

const method = "/sparkler.worker.v1.WorkerService/ExecuteNode"

var (
	number  int64
	stopped int32
	lines   sync.Mutex
)

// Messages of the present protobuf library, which the packaged gRPC is older than.
type codec struct{}

func (codec) Marshal(value interface{}) ([]byte, error) { return proto.Marshal(value.(proto.Message)) }
func (codec) Unmarshal(data []byte, value interface{}) error {
	return proto.Unmarshal(data, value.(proto.Message))
}
func (codec) Name() string { return "proto" }

type result struct {
	Began   float64  `json:"began"`
	First   *float64 `json:"first"`
	Worker  string   `json:"worker,omitempty"`
	Failure string   `json:"failure,omitempty"`
}

func seconds(when time.Time) float64 { return float64(when.UnixNano()) / 1e9 }

func request() *api.ExecuteNodeRequest {
	model := map[string]*structpb.Value{"modelName": structpb.NewStringValue("accounts/fireworks/models/glm-5p3")}
	return &api.ExecuteNodeRequest{
		NodeType:   "chatFireworks",
		Input:      &api.ExecuteNodeRequest_Prompt{Prompt: fmt.Sprintf("Go's %d?", atomic.AddInt64(&number, 1))},
		Config:     &structpb.Struct{Fields: model},
		Credential: &api.Credential{Source: &api.Credential_ApiKey{ApiKey: "fw_of_the_rollout"}},
	}
}

func (call *result) receive(stream grpc.ClientStream, began time.Time) error {
	for {
		answer := &api.ExecuteNodeResponse{}
		if err := stream.RecvMsg(answer); err != nil {
			return err
		}
		if started := answer.GetStarted(); started != nil {
			call.Worker = started.WorkerId
		}
		if answer.GetDelta() != nil && call.First == nil {
			first := time.Since(began).Seconds()
			call.First = &first
		}
	}
}

func (call *result) run(connection *grpc.ClientConn, began time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return err
	}
	// A stream that has failed says why when it is read.
	if err := stream.SendMsg(request()); err != nil && err != io.EOF {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return call.receive(stream, began)
}

func caller(connection *grpc.ClientConn, pause time.Duration) {
	for atomic.LoadInt32(&stopped) == 0 {
		began := time.Now()
		call := result{Began: seconds(began)}
		if err := call.run(connection, began); err != io.EOF {
			failed, _ := status.FromError(err)
			call.Failure = fmt.Sprintf("%s: %s", failed.Code(), failed.Message())
		}
		line, _ := json.Marshal(call)
		lines.Lock()
		fmt.Println(string(line))
		lines.Unlock()
		time.Sleep(pause)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	config, err := os.ReadFile("../../examples/service_config.json")
	must(err)
	callers, err := strconv.Atoi(os.Args[2])
	must(err)
	pause, err := time.ParseDuration(os.Args[3] + "s")
	must(err)
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure(), grpc.WithDefaultServiceConfig(string(config)),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{})))
	must(err)
	var all sync.WaitGroup
	for i := 0; i < callers; i++ {
		all.Add(1)
		go func() { defer all.Done(); caller(connection, pause) }()
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	must(err)
	atomic.StoreInt32(&stopped, 1)
	all.Wait()
}

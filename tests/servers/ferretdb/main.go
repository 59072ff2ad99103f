// A MongoDB-protocol server for the tests: FerretDB 1 on SQLite.
//
// FerretDB's own command panics when it was built by `go install`, because a file it embeds is not part of its module;
// the package it offers for embedding works.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: holdfast-ferretdb HOST:PORT DIRECTORY")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: os.Args[1]},
		Handler:   "sqlite",
		SQLiteURL: "file:" + os.Args[2] + "/",
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err == nil {
		err = server.Run(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
}

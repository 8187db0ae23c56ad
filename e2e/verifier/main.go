// Verifies a tiled log: verifier DIR VKEY. It shares no code with the log's writer: only golang.org/x/mod.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "verifier: %s: %v\n", what, err)
		os.Exit(1)
	}
}

// dir reads hash tiles at C2SP's paths, which leave out the height that x/mod's own paths begin with.
type dir string

func (d dir) Height() int                             { return 8 }
func (d dir) SaveTiles(tiles []tlog.Tile, _ [][]byte) {}
func (d dir) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := d.read(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (d dir) read(path string) ([]byte, error) { return os.ReadFile(filepath.Join(string(d), path)) }

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: verifier DIR VKEY")
		os.Exit(2)
	}
	d := dir(os.Args[1])
	key, err := note.NewVerifier(os.Args[2])
	check(err, "key")
	text, err := d.read("checkpoint")
	check(err, "checkpoint")
	signed, err := note.Open(text, note.VerifierList(key))
	check(err, "checkpoint")
	lines := strings.SplitN(signed.Text, "\n", 4)
	var size int64
	_, err = fmt.Sscanf(lines[1], "%d", &size)
	check(err, "checkpoint size")
	root, err := tlog.ParseHash(lines[2])
	check(err, "checkpoint root")
	hashes := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, d)
	for first := int64(0); first < size; first += 256 {
		width := int(min(256, size-first))
		bundle := tlog.Tile{H: 8, L: -1, N: first / 256, W: width}
		data, err := d.read(strings.Replace(bundle.Path(), "tile/8/data/", "tile/entries/", 1))
		check(err, "entries")
		indexes := make([]int64, width)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
		}
		wanted, err := hashes.ReadHashes(indexes)
		check(err, "tiles")
		for i := range indexes {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				check(fmt.Errorf("entry %d runs over the end of its bundle", first+int64(i)), "entries")
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			if tlog.RecordHash(data[2:end]) != wanted[i] {
				check(fmt.Errorf("entry %d does not have the hash that its tile holds", first+int64(i)), "entries")
			}
			data = data[end:]
		}
		if len(data) != 0 {
			check(fmt.Errorf("%d bytes after the last entry of bundle %d", len(data), first/256), "entries")
		}
	}
	fmt.Printf("verified %d records, root %v\n", size, root)
}

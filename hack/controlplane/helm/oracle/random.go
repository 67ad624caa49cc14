package main

import (
	"crypto/rand"
	"encoding/binary"
	"io"

	"github.com/google/uuid"
)

// stream gives the bytes of splitmix64 from seed 0, each number little-endian. It is no randomness: it is what the
// other side can give as well.
type stream struct {
	state uint64
	left  []byte
}

func (s *stream) Read(buffer []byte) (int, error) {
	for i := range buffer {
		if len(s.left) == 0 {
			s.state += 0x9e3779b97f4a7c15
			z := s.state
			z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
			z = (z ^ (z >> 27)) * 0x94d049bb133111eb
			s.left = binary.LittleEndian.AppendUint64(nil, z^(z>>31))
		}
		buffer[i], s.left = s.left[0], s.left[1:]
	}
	return len(buffer), nil
}

var _ io.Reader = (*stream)(nil)

func startRandom() {
	rand.Reader = &stream{}
	uuid.SetRand(rand.Reader)
}

package store

import (
	"path/filepath"
	"syscall"
)

// networkFileSystem names the network file system that a file is on, or returns "". The numbers
// are those of statfs(2).
func networkFileSystem(path string) string {
	var st syscall.Statfs_t
	if syscall.Statfs(filepath.Dir(path), &st) != nil {
		return ""
	}
	switch uint32(st.Type) {
	case 0x6969:
		return "NFS"
	case 0x0BD00BD0:
		return "Lustre"
	case 0x47504653:
		return "GPFS"
	case 0x517B, 0xFF534D42, 0xFE534D42:
		return "SMB"
	case 0x00C36400:
		return "Ceph"
	case 0x19830326:
		return "BeeGFS"
	case 0x5346414F:
		return "AFS"
	}
	return ""
}

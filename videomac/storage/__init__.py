"""Every byte that is read or written: local folders and object stores, run folders, leases."""
